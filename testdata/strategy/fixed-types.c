/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* fixed-types: counters in maps that cannot become per-CPU maps */
#include "case.h"

struct guarded {
	struct bpf_spin_lock lock;
	__u64 count;
};

struct counters {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 16);
	__type(key, __u32);
	__type(value, __u64);
} inner SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 1);
	__type(key, __u32);
	__array(values, struct counters);
} outer SEC(".maps") = { .values = { (void *)&inner } };

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, __u64);
} mapped SEC(".maps");

MAP(locked, ARRAY, __u32, struct guarded, 1);

SEC("xdp")
int fixed_types(struct xdp_md *ctx)
{
	__u32 zero = 0;
	struct guarded *guarded = bpf_map_lookup_elem(&locked, &zero);
	void *counters = bpf_map_lookup_elem(&outer, &zero);
	__u64 *count = bpf_map_lookup_elem(&mapped, &zero);

	(void)ctx;
	if (count)
		__sync_fetch_and_add(count, 1);
	count = counters ? bpf_map_lookup_elem(counters, &zero) : NULL;
	if (count)
		__sync_fetch_and_add(count, 1);
	if (guarded) {
		bpf_spin_lock(&guarded->lock);
		guarded->count++;
		bpf_spin_unlock(&guarded->lock);
	}
	return XDP_PASS;
}
