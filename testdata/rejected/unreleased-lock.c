// testdata/rejected: on one path a lock is kept.
// says: unreleased-lock.c:20: a reserved record, reference or lock is not given back on some path (kernel: BPF_EXIT instruction in main prog cannot be used inside bpf_spin_lock-ed region)
#include "rejected.h"
struct counted { struct bpf_spin_lock lock; __u32 count; };
MAP(counts, ARRAY, 1, struct counted);

SEC("xdp")
int entry(struct xdp_md *ctx)
{
	__u32 key = 0;
	struct counted *value = bpf_map_lookup_elem(&counts, &key);

	if (!value)
		return XDP_ABORTED;
	bpf_spin_lock(&value->lock);
	if (++value->count > 100)
		return XDP_DROP;
	bpf_spin_unlock(&value->lock);
	return XDP_PASS;
}
char _license[] SEC("license") = "GPL";
