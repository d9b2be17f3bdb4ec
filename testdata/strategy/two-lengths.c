/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* two-lengths: one map under a whole address and under a part of it */
#include "case.h"

MAP(counts, HASH, __be32, __u64, 1024);

SEC("xdp")
int two_lengths(struct xdp_md *ctx)
{
	struct iphdr *ip = parse_l3(ctx);
	__be32 whole, network;
	__u64 sum;

	if (!ip)
		return XDP_DROP;
	whole = ip->saddr;
	network = ip->saddr & bpf_htonl(0xffffff00);
	sum = COUNT(counts, &whole) + COUNT(counts, &network);
	return sum > 100 ? XDP_DROP : XDP_PASS;
}
