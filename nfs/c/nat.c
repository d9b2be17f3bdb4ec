/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * nat: flows of the LAN share one address of the WAN, a port for each flow.
 *
 * L4: what is no whole TCP or UDP packet, fragments included, is dropped.
 *
 *   lan  flow (addresses, ports, protocol) known: refresh; unknown: allocate;
 *        table full: drop. The source becomes external_ip : start_port + index of
 *        the flow; MACs; out(WAN).
 *   wan  index = destination port - start_port; out of range or not allocated:
 *        drop; the packet does not come from where the flow went (address, port,
 *        protocol): drop. Else the destination becomes the flow's source; MACs;
 *        out(the port that began it). The destination address is not looked at.
 *
 * Do answers keep a flow alive? `refresh` is 0: never; 1: those that pass the
 * check (after_check); 2: every packet for an allocated index (before_check).
 *
 * A flow is expired after `expiry` without refresh. At most 65536 - start_port
 * flows, whatever `capacity` says, so that ports do not wrap. MACs: the out port's
 * as source, its configured next hop as destination.
 */
#define NF_PORTS
#define NF_MACS
#include "nf.h"
#include "nf_chain.h"
#include "nf_csum.h"

#define NEVER 0
#define AFTER_CHECK 1
#define BEFORE_CHECK 2

#define ALL_PORTS 65536

/* Host order: 203.0.113.1. */
volatile const __u32 external_ip = 0xcb007101;
volatile const __u32 start_port = 0;
volatile const __u32 refresh = NEVER;
volatile const __u32 capacity = 65536;
/* Nanoseconds: 100 s. */
volatile const __u64 expiry = 100000000000ULL;

struct flow {
	__u32 port;
	__u32 index;
};

ALWAYS_INLINE __u32 most_flows(void)
{
	__u32 most = ALL_PORTS - start_port;

	return capacity < most ? capacity : most;
}

NF_EXPIRING_MAP(flows, struct flow_key, struct flow, 65536, most_flows(),
		expiry);

/* The index of the packet's flow, made where it is new; -1: full. */
ALWAYS_INLINE __s64 index_of(const struct flow_key *key, __u64 now)
{
	struct flow *flow = flows_get(key, now);
	struct flow first = { .port = LAN };

	if (flow) {
		flows_refresh(flow, now);
		return flow->index;
	}
	return flows_insert(key, &first, now) ? (__s64)first.index : -1;
}

ALWAYS_INLINE int from_lan(struct iphdr *ip, struct l4hdr *l4,
			   struct l4_check check)
{
	struct flow_key key = flow_of(ip, l4);
	__s64 index = index_of(&key, bpf_ktime_get_ns());

	if (index < 0)
		return XDP_DROP;
	set_address(ip, check, &ip->saddr, bpf_htonl(external_ip));
	set_port(check, &l4->source, bpf_htons(start_port + index));
	set_macs((void *)ip - ETH_HLEN, wan_next_hop, wan_mac);
	return out(WAN);
}

ALWAYS_INLINE int from_wan(struct iphdr *ip, struct l4hdr *l4,
			   struct l4_check check)
{
	__u32 index = bpf_ntohs(l4->dest) - start_port;
	__u64 now = bpf_ktime_get_ns();
	struct flow_key *there = flows_key_at(index, now);
	struct flow_key key;
	struct flow *flow;

	if (!there)
		return XDP_DROP;
	if (refresh == BEFORE_CHECK)
		flows_chain_refresh(index, now);
	key = *there;
	if (key.destination != ip->saddr || key.destination_port != l4->source ||
	    key.protocol != ip->protocol)
		return XDP_DROP;
	flow = bpf_map_lookup_elem(&flows, &key);
	if (!flow)
		return XDP_DROP;
	if (refresh == AFTER_CHECK)
		flows_chain_refresh(index, now);
	set_address(ip, check, &ip->daddr, key.source);
	set_port(check, &l4->dest, key.source_port);
	set_macs((void *)ip - ETH_HLEN, lan_next_hop, lan_mac);
	return out(flow->port);
}

SEC("xdp")
int nat(struct xdp_md *ctx)
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
