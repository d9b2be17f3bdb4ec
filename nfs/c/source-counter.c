/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * source-counter: packets and bytes per IPv4 source address. Every frame
 * passes; what is not IPv4 (L3) passes uncounted, as does a source that finds
 * the table full.
 *
 * The counters are read, added to and written back without atomics: correct for
 * one core, and for several as long as a source stays on one core.
 */
#include "nf.h"

struct counters {
	__u64 packets;
	__u64 bytes;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__type(key, __be32);
	__type(value, struct counters);
} sources SEC(".maps");

SEC("xdp")
int source_counter(struct xdp_md *ctx)
{
	__u64 bytes = frame_size(ctx);
	struct iphdr *ip = parse_l3(ctx);
	struct counters *cell;
	__be32 source;

	if (!ip)
		return XDP_PASS;
	source = ip->saddr;
	cell = bpf_map_lookup_elem(&sources, &source);
	if (cell) {
		cell->packets += 1;
		cell->bytes += bytes;
	} else {
		struct counters first = { .packets = 1, .bytes = bytes };

		bpf_map_update_elem(&sources, &source, &first, BPF_ANY);
	}
	return XDP_PASS;
}

char _license[] SEC("license") = "GPL";
