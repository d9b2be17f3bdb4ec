/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* tail: goes on in a program that nobody can see from here */
#include "case.h"

MAP(sources, HASH, __be32, __u64, 64);
MAP(next, PROG_ARRAY, __u32, __u32, 4);

SEC("xdp")
int tail(struct xdp_md *ctx)
{
	struct iphdr *ip = parse_l3(ctx);
	__be32 source;

	if (!ip)
		return XDP_DROP;
	source = ip->saddr;
	COUNT(sources, &source);
	bpf_tail_call(ctx, &next, 1);
	return XDP_PASS;
}
