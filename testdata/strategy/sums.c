/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* sums: what looks like additions to a cell, and is none that parts sum up to */
#include "case.h"

MAP(crossing, ARRAY, __u32, __u64, 1);
MAP(narrow, ARRAY, __u32, __u64, 1);
MAP(cut, ARRAY, __u32, __u64, 1);
MAP(plain, ARRAY, __u32, __u64, 1);

SEC("xdp")
int sums(struct xdp_md *ctx)
{
	__u32 zero = 0;
	__u32 length = END - DATA;
	__u64 *a = bpf_map_lookup_elem(&crossing, &zero);
	__u64 *b = bpf_map_lookup_elem(&narrow, &zero);
	__u64 *c = bpf_map_lookup_elem(&cut, &zero);
	__u64 *d = bpf_map_lookup_elem(&plain, &zero);

	if (!a || !b || !c || !d)
		return XDP_PASS;
	/* The low half carries into the high one on one core only. */
	__sync_fetch_and_add(a, 1);
	__sync_fetch_and_add((__u32 *)a, length);
	/* Wraps at 32 bits, in a cell of 64. */
	*b = (__u32)(*b + length);
	/* Forgets the high half before it adds. */
	*c = (*c & 0xffffffff) + length;
	*d += length;
	return XDP_PASS;
}
