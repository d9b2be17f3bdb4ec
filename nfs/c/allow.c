/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * allow: forwards what a table of flows and input ports lists; user space fills
 * it, nobody writes it afterwards.
 *
 * L4: what is no whole TCP or UDP packet, fragments included, is dropped.
 *
 *   hit   out(the other port)
 *   miss  drop
 *
 * Each direction of a connection needs an entry of its own.
 */
#define NF_PORTS
#include "nf.h"

struct allowed_key {
	__be32 source;
	__be32 destination;
	__be16 source_port;
	__be16 destination_port;
	__u8 protocol;
	__u8 port;
	__u8 zero[2];
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__type(key, struct allowed_key);
	__type(value, __u32);
} allowed SEC(".maps");

SEC("xdp")
int allow(struct xdp_md *ctx)
{
	__u32 ifindex = ctx->ingress_ifindex;
	struct allowed_key key = {};
	struct l4hdr *l4;
	struct iphdr *ip;

	if (ifindex == lan_ifindex)
		key.port = LAN;
	else if (ifindex == wan_ifindex)
		key.port = WAN;
	else
		return XDP_DROP;
	ip = parse_l3(ctx);
	if (!ip)
		return XDP_DROP;
	l4 = parse_l4(ctx, ip);
	if (!l4)
		return XDP_DROP;
	key.source = ip->saddr;
	key.destination = ip->daddr;
	key.source_port = l4->source;
	key.destination_port = l4->dest;
	key.protocol = ip->protocol;
	if (!bpf_map_lookup_elem(&allowed, &key))
		return XDP_DROP;
	return out(key.port == LAN ? WAN : LAN);
}

char _license[] SEC("license") = "GPL";
