/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* arr: an array at the low byte of the destination port, on a single path */
#include "case.h"

MAP(cells, ARRAY, __u32, __u64, 256);

SEC("xdp")
int arr(struct xdp_md *ctx)
{
	struct iphdr *ip = parse_l3(ctx);
	struct l4hdr *l4;
	__u32 key;
	__u64 *n;

	if (!ip)
		return XDP_DROP;
	l4 = parse_l4(ctx, ip);
	if (!l4)
		return XDP_DROP;
	key = bpf_ntohs(l4->dest) & 255;
	n = bpf_map_lookup_elem(&cells, &key);
	if (!n)
		return XDP_DROP;
	return ++*n & 1 ? XDP_DROP : XDP_PASS;
}
