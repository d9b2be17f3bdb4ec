/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* walk: walks over all cells */
#include "case.h"

MAP(cells, ARRAY, __u32, __u64, 64);

SEC("xdp")
int walk(struct xdp_md *ctx)
{
	__u64 sum = 0;
	__u32 key;

	(void)ctx;
	for (key = 0; key < 64; key++) {
		__u64 *n = bpf_map_lookup_elem(&cells, &key);

		if (n) {
			sum += *n;
			*n = sum;
		}
	}
	return sum & 1 ? XDP_DROP : XDP_PASS;
}
