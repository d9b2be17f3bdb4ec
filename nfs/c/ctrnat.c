/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * ctrnat: nat whose external ports come from one global counter and are never freed.
 * It shows what cannot be divided: every new flow needs the counter's old value.
 *
 * L4: what is no whole TCP or UDP packet, fragments included, is dropped.
 *
 *   lan  flow (addresses, ports, protocol) known: its number; unknown: the counter's
 *        old value, if that is below 65536 - start_port and the table takes the flow,
 *        else drop. The source becomes external_ip : start_port + number; MACs;
 *        out(WAN).
 *   wan  number = destination port - start_port; out of range, or the packet does not
 *        come from where that flow went (address, port, protocol): drop. Else the
 *        destination becomes the flow's source; MACs; out(LAN).
 *
 * A number that was never given has protocol 0 in `tuples`, which no packet has.
 */
#define NF_PORTS
#define NF_MACS
#include "nf.h"
#include "nf_csum.h"

#define ALL_PORTS 65536

/* Host order: 203.0.113.1. */
volatile const __u32 external_ip = 0xcb007101;
volatile const __u32 start_port = 0;

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, ALL_PORTS);
	__type(key, struct flow_key);
	__type(value, __u32);
} flows SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} allocated SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, ALL_PORTS);
	__type(key, __u32);
	__type(value, struct flow_key);
} tuples SEC(".maps");

/* The flow's number, given where it is new; -1: none left. */
ALWAYS_INLINE __s64 number_of(const struct flow_key *key)
{
	__u32 *known = bpf_map_lookup_elem(&flows, key);
	struct flow_key *tuple;
	__u32 zero = 0, number;
	__u64 *next, old;

	if (known)
		return *known;
	next = bpf_map_lookup_elem(&allocated, &zero);
	if (!next)
		return -1;
	old = __sync_fetch_and_add(next, 1);
	if (old >= ALL_PORTS - start_port)
		return -1;
	number = old;
	if (bpf_map_update_elem(&flows, key, &number, BPF_ANY))
		return -1;
	tuple = bpf_map_lookup_elem(&tuples, &number);
	if (tuple)
		*tuple = *key;
	return number;
}

ALWAYS_INLINE int from_lan(struct iphdr *ip, struct l4hdr *l4,
			   struct l4_check check)
{
	struct flow_key key = flow_of(ip, l4);
	__s64 number = number_of(&key);

	if (number < 0)
		return XDP_DROP;
	set_address(ip, check, &ip->saddr, bpf_htonl(external_ip));
	set_port(check, &l4->source, bpf_htons(start_port + number));
	set_macs((void *)ip - ETH_HLEN, wan_next_hop, wan_mac);
	return out(WAN);
}

ALWAYS_INLINE int from_wan(struct iphdr *ip, struct l4hdr *l4,
			   struct l4_check check)
{
	__u32 number = bpf_ntohs(l4->dest) - start_port;
	struct flow_key *there = bpf_map_lookup_elem(&tuples, &number);

	if (!there || there->protocol != ip->protocol ||
	    there->destination != ip->saddr ||
	    there->destination_port != l4->source)
		return XDP_DROP;
	set_address(ip, check, &ip->daddr, there->source);
	set_port(check, &l4->dest, there->source_port);
	set_macs((void *)ip - ETH_HLEN, lan_next_hop, lan_mac);
	return out(LAN);
}

SEC("xdp")
int ctrnat(struct xdp_md *ctx)
{
	__u32 ifindex = ctx->ingress_ifindex;
	struct l4_check check;
	struct l4hdr *l4;
	struct iphdr *ip;

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
		return from_lan(ip, l4, check);
	if (ifindex == wan_ifindex)
		return from_wan(ip, l4, check);
	return XDP_DROP;
}

char _license[] SEC("license") = "GPL";
