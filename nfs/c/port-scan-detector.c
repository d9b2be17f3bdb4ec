/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * port-scan-detector: how many ports may one source of the WAN touch?
 *
 * L4: what is no whole TCP or UDP packet, fragments included, is dropped. lan -> wan
 * passes. From wan, by source address:
 *
 *   new source    table full: out(LAN); else its set is the destination port alone,
 *                 out(LAN)
 *   known source  refresh; the port is in the set: out(LAN); it is not and the set
 *                 has max_ports: drop; else it joins the set, out(LAN)
 *
 * A source that was silent for longer than `expiry` is new: its set begins anew, and
 * so does that of an index that changes hands. `touched` has the sets by index, of
 * which the first `count` ports are valid. max_ports is at most 64.
 */
#define NF_PORTS
#include "nf.h"
#include "nf_chain.h"

#define MOST_PORTS 64

volatile const __u32 max_ports = 60;
volatile const __u32 capacity = 65536;
/* Nanoseconds: 1 s. */
volatile const __u64 expiry = 1000000000ULL;

struct source {
	__u32 count;
	__u32 index;
};

struct touched {
	__be16 ports[MOST_PORTS];
};

NF_EXPIRING_MAP(sources, __be32, struct source, 65536, capacity, expiry);

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 65536);
	__type(key, __u32);
	__type(value, struct touched);
} touched SEC(".maps");

ALWAYS_INLINE int has_port(const struct touched *set, __u32 count, __be16 port)
{
	__u32 at;

	for (at = 0; at < MOST_PORTS; at++) {
		if (at >= count)
			break;
		if (set->ports[at] == port)
			return 1;
	}
	return 0;
}

ALWAYS_INLINE int begin(__be32 address, __be16 port, __u64 now)
{
	struct source first = { .count = 1 };
	struct touched *set;

	if (!sources_insert(&address, &first, now))
		return out(LAN);
	set = bpf_map_lookup_elem(&touched, &first.index);
	if (set)
		set->ports[0] = port;
	return out(LAN);
}

SEC("xdp")
int port_scan_detector(struct xdp_md *ctx)
{
	__u32 ifindex = ctx->ingress_ifindex;
	struct touched *set;
	struct source *source;
	__u32 count, index;
	struct l4hdr *l4;
	struct iphdr *ip;
	__be32 address;
	__be16 port;
	__u64 now;

	ip = parse_l3(ctx);
	if (!ip)
		return XDP_DROP;
	l4 = parse_l4(ctx, ip);
	if (!l4)
		return XDP_DROP;
	if (ifindex == lan_ifindex)
		return out(WAN);
	if (ifindex != wan_ifindex)
		return XDP_DROP;

	now = bpf_ktime_get_ns();
	address = ip->saddr;
	port = l4->dest;
	source = sources_get(&address, now);
	if (!source)
		return begin(address, port, now);
	sources_refresh(source, now);
	index = source->index;
	set = bpf_map_lookup_elem(&touched, &index);
	if (!set)
		return XDP_DROP;
	count = source->count;
	if (has_port(set, count, port))
		return out(LAN);
	if (count >= max_ports || count >= MOST_PORTS)
		return XDP_DROP;
	set->ports[count] = port;
	source->count = count + 1;
	return out(LAN);
}

char _license[] SEC("license") = "GPL";
