/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * firewall: the WAN may answer what the LAN has begun, and nothing else.
 *
 * L4: what is no whole TCP or UDP packet, fragments included, is dropped.
 *
 *   lan  flow (addresses, ports, protocol) known: refresh; unknown: insert;
 *        table full: go on untracked. Always out(WAN).
 *   wan  the flow with source and destination swapped: unknown: drop; known:
 *        refresh, out(the port that began it).
 *
 * A forwarded frame gets the out port's MAC as source and the configured next
 * hop as destination.
 *
 * Expiry: a flow with last < now - expiry counts as unknown. It is found by the
 * lookup that would have used it (lan overwrites it in place, wan deletes it);
 * an expired flow that nobody asks for keeps its place in the table.
 */
#define NF_PORTS
#include "nf.h"

/* Nanoseconds: 100 s. */
volatile const __u64 expiry = 100000000000ULL;

/* Indexed by out port: LAN, WAN. */
struct mac_pair {
	__u8 next_hop[6];
	__u8 own[6];
};

volatile const struct mac_pair lan_macs = {
	.next_hop = { 0x02, 0, 0, 0, 0, 0x11 },
	.own = { 0x02, 0, 0, 0, 0, 0x01 },
};
volatile const struct mac_pair wan_macs = {
	.next_hop = { 0x02, 0, 0, 0, 0, 0x12 },
	.own = { 0x02, 0, 0, 0, 0, 0x02 },
};

struct flow {
	__u64 last;
	__u32 port;
	__u32 zero;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__type(key, struct flow_key);
	__type(value, struct flow);
} flows SEC(".maps");

ALWAYS_INLINE void set_macs(struct ethhdr *eth,
			    const volatile struct mac_pair *macs)
{
	int i;

#pragma unroll
	for (i = 0; i < 6; i++) {
		eth->h_dest[i] = macs->next_hop[i];
		eth->h_source[i] = macs->own[i];
	}
}

SEC("xdp")
int firewall(struct xdp_md *ctx)
{
	struct ethhdr *eth = (void *)(long)ctx->data;
	__u32 ifindex = ctx->ingress_ifindex;
	struct flow_key key = {};
	struct l4hdr *l4;
	struct iphdr *ip;
	struct flow *flow;
	__u64 now;

	ip = parse_l3(ctx);
	if (!ip)
		return XDP_DROP;
	l4 = parse_l4(ctx, ip);
	if (!l4)
		return XDP_DROP;
	key.protocol = ip->protocol;
	now = bpf_ktime_get_ns();

	if (ifindex == lan_ifindex) {
		key.source = ip->saddr;
		key.destination = ip->daddr;
		key.source_port = l4->source;
		key.destination_port = l4->dest;
		flow = bpf_map_lookup_elem(&flows, &key);
		if (flow) {
			if (flow->last + expiry < now)
				flow->port = LAN;
			flow->last = now;
		} else {
			struct flow first = { .last = now, .port = LAN };

			bpf_map_update_elem(&flows, &key, &first, BPF_ANY);
		}
		set_macs(eth, &wan_macs);
		return out(WAN);
	}
	if (ifindex != wan_ifindex)
		return XDP_DROP;

	key.source = ip->daddr;
	key.destination = ip->saddr;
	key.source_port = l4->dest;
	key.destination_port = l4->source;
	flow = bpf_map_lookup_elem(&flows, &key);
	if (!flow)
		return XDP_DROP;
	if (flow->last + expiry < now) {
		bpf_map_delete_elem(&flows, &key);
		return XDP_DROP;
	}
	flow->last = now;
	set_macs(eth, &lan_macs);
	return out(flow->port);
}

char _license[] SEC("license") = "GPL";
