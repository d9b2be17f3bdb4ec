/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* locked: no races: a spin lock, a complete CAS loop, BPF_NOEXIST */
#include "case.h"

struct locked {
	struct bpf_spin_lock lock;
	__u32 count;
};

MAP(sources, HASH, __be32, struct locked, 64);
MAP(swapped, ARRAY, __u32, __u64, 1);

SEC("xdp")
int locked(struct xdp_md *ctx)
{
	struct iphdr *ip = parse_l3(ctx);
	struct locked first = {}, *cell;
	__u32 zero = 0;
	__u64 *word, old;
	__be32 source;

	if (!ip)
		return XDP_DROP;
	source = ip->saddr;
	cell = bpf_map_lookup_elem(&sources, &source);
	if (!cell) {
		bpf_map_update_elem(&sources, &source, &first, BPF_NOEXIST);
		return XDP_PASS;
	}
	bpf_spin_lock(&cell->lock);
	cell->count++;
	bpf_spin_unlock(&cell->lock);
	word = bpf_map_lookup_elem(&swapped, &zero);
	if (!word)
		return XDP_PASS;
	old = *word;
	__sync_val_compare_and_swap(word, old, old + 3);
	return XDP_PASS;
}
