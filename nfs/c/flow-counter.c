/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * flow-counter: packets and bytes per direction of a TCP or UDP flow (addresses,
 * ports, protocol). Every frame passes; what is not L4, fragments included,
 * passes uncounted, as does a flow that finds the table full.
 */
#include "nf.h"

struct counters {
	__u64 packets;
	__u64 bytes;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__type(key, struct flow_key);
	__type(value, struct counters);
} flows SEC(".maps");

SEC("xdp")
int flow_counter(struct xdp_md *ctx)
{
	__u64 bytes = frame_size(ctx);
	struct flow_key key = {};
	struct counters *cell;
	struct l4hdr *l4;
	struct iphdr *ip;

	ip = parse_l3(ctx);
	if (!ip)
		return XDP_PASS;
	l4 = parse_l4(ctx, ip);
	if (!l4)
		return XDP_PASS;
	key.source = ip->saddr;
	key.destination = ip->daddr;
	key.source_port = l4->source;
	key.destination_port = l4->dest;
	key.protocol = ip->protocol;

	cell = bpf_map_lookup_elem(&flows, &key);
	if (cell) {
		cell->packets += 1;
		cell->bytes += bytes;
	} else {
		struct counters first = { .packets = 1, .bytes = bytes };

		bpf_map_update_elem(&flows, &key, &first, BPF_ANY);
	}
	return XDP_PASS;
}

char _license[] SEC("license") = "GPL";
