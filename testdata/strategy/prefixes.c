/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* prefixes: sources of one /8 find one cell, under keys that differ */
#include "case.h"

struct prefix {
	__u32 length;
	__be32 address;
};

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 1024);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct prefix);
	__type(value, __u64);
} networks SEC(".maps");

SEC("xdp")
int prefixes(struct xdp_md *ctx)
{
	struct ethhdr *eth = DATA;
	struct iphdr *ip = (void *)(eth + 1);
	struct prefix key = { 32, 0 };
	__u64 one = 1, *seen;

	if ((void *)(ip + 1) > END || eth->h_proto != bpf_htons(ETH_P_IP))
		return XDP_PASS;
	key.address = ip->saddr;
	seen = bpf_map_lookup_elem(&networks, &key);
	if (seen)
		return (*seen)++ > 100 ? XDP_DROP : XDP_PASS;
	key.length = 8;
	bpf_map_update_elem(&networks, &key, &one, 0);
	return XDP_PASS;
}
