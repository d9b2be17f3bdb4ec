/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * r3: packets per source address and packets per destination address. Two maps that
 * no one key serves: packets of one source go to many destinations, and the other way
 * round, so that both together leave a single core.
 *
 * L3: what is not IPv4 is dropped; all else passes, also where a table is full.
 */
#include "nf.h"

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__type(key, __be32);
	__type(value, __u64);
} sources SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__type(key, __be32);
	__type(value, __u64);
} destinations SEC(".maps");

ALWAYS_INLINE void count(void *map, __be32 address)
{
	__u64 first = 1, *packets = bpf_map_lookup_elem(map, &address);

	if (packets)
		*packets += 1;
	else
		bpf_map_update_elem(map, &address, &first, BPF_ANY);
}

SEC("xdp")
int r3(struct xdp_md *ctx)
{
	struct iphdr *ip = parse_l3(ctx);

	if (!ip)
		return XDP_DROP;
	count(&sources, ip->saddr);
	count(&destinations, ip->daddr);
	return XDP_PASS;
}

char _license[] SEC("license") = "GPL";
