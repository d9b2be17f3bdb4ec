/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * proxy: gives what arrives from the WAN for a listed port to the server that the
 * table names; user space fills it, nobody writes it afterwards.
 *
 * L4: what is no whole TCP or UDP packet, fragments included, is dropped.
 *
 *   lan  out(WAN), unchanged: servers answer in their own name
 *   wan  destination port listed: destination address and port become the
 *        server's, checksums follow, out(LAN); not listed: drop
 */
#define NF_PORTS
#include "nf.h"
#include "nf_csum.h"

struct server {
	__be32 address;
	__be16 port;
	__u8 zero[2];
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, __be16);
	__type(value, struct server);
} services SEC(".maps");

SEC("xdp")
int proxy(struct xdp_md *ctx)
{
	__u32 ifindex = ctx->ingress_ifindex;
	struct l4_check check;
	struct server *server;
	struct l4hdr *l4;
	struct iphdr *ip;
	__be16 port;

	ip = parse_l3(ctx);
	if (!ip)
		return XDP_DROP;
	l4 = parse_l4(ctx, ip);
	if (!l4)
		return XDP_DROP;
	check = l4_check_of(ctx, ip, l4);
	if (!check.at)
		return XDP_DROP;
	if (ifindex == lan_ifindex)
		return out(WAN);
	if (ifindex != wan_ifindex)
		return XDP_DROP;
	port = l4->dest;
	server = bpf_map_lookup_elem(&services, &port);
	if (!server)
		return XDP_DROP;
	set_address(ip, check, &ip->daddr, server->address);
	set_port(check, &l4->dest, server->port);
	return out(LAN);
}

char _license[] SEC("license") = "GPL";
