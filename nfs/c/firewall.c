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
#define NF_MACS
#include "nf.h"

/* Nanoseconds: 100 s. */
volatile const __u64 expiry = 100000000000ULL;

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
			flow->last = now;
		} else {
			struct flow first = { .last = now, .port = LAN };

			bpf_map_update_elem(&flows, &key, &first, BPF_ANY);
		}
		set_macs(eth, wan_next_hop, wan_mac);
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
	set_macs(eth, lan_next_hop, lan_mac);
	return out(flow->port);
}

char _license[] SEC("license") = "GPL";
