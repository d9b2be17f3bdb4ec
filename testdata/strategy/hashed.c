/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* hashed: an array at a multiplicative hash of the source */
#include "case.h"

MAP(cells, ARRAY, __u32, __u64, 1024);

SEC("xdp")
int hashed(struct xdp_md *ctx)
{
	struct iphdr *ip = parse_l3(ctx);
	__u32 key;
	__u64 *n;

	if (!ip)
		return XDP_DROP;
	key = (ip->saddr * 0x9e3779b1U) >> 22;
	n = bpf_map_lookup_elem(&cells, &key);
	if (!n)
		return XDP_DROP;
	return ++*n > 10 ? XDP_DROP : XDP_PASS;
}
