/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * gcount: a map that can be divided beside a counter that cannot. Each packet gets a
 * number from the one counter `total`; its source keeps how many packets it sent and
 * the number of the latest. The counter's old value is stored, so that copies of it
 * cannot be summed.
 *
 * L3: what is not IPv4 is dropped; all else passes, also where the table is full.
 */
#include "nf.h"

struct source {
	__u64 packets;
	__u64 sequence;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__type(key, __be32);
	__type(value, struct source);
} sources SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} total SEC(".maps");

SEC("xdp")
int gcount(struct xdp_md *ctx)
{
	struct iphdr *ip = parse_l3(ctx);
	struct source first = { .packets = 1 };
	struct source *source;
	__u64 *counter;
	__u32 zero = 0;
	__be32 address;

	if (!ip)
		return XDP_DROP;
	counter = bpf_map_lookup_elem(&total, &zero);
	if (!counter)
		return XDP_DROP;
	first.sequence = __sync_fetch_and_add(counter, 1);
	address = ip->saddr;
	source = bpf_map_lookup_elem(&sources, &address);
	if (source) {
		source->packets += 1;
		source->sequence = first.sequence;
	} else {
		bpf_map_update_elem(&sources, &address, &first, BPF_ANY);
	}
	return XDP_PASS;
}

char _license[] SEC("license") = "GPL";
