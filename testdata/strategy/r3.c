/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* r3: one map under the source and under the destination address */
#include "case.h"

MAP(counts, HASH, __be32, __u64, 1024);

SEC("xdp")
int r3(struct xdp_md *ctx)
{
	struct iphdr *ip = parse_l3(ctx);
	__be32 source, destination;
	__u64 sum;

	if (!ip)
		return XDP_DROP;
	source = ip->saddr;
	destination = ip->daddr;
	sum = COUNT(counts, &source) + COUNT(counts, &destination);
	return sum > 100 ? XDP_DROP : XDP_PASS;
}
