/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* symmetric: the XOR of both addresses */
#include "case.h"

MAP(pairs, HASH, __be32, __u64, 1024);

SEC("xdp")
int symmetric(struct xdp_md *ctx)
{
	struct iphdr *ip = parse_l3(ctx);
	__be32 key;

	if (!ip)
		return XDP_DROP;
	key = ip->saddr ^ ip->daddr;
	return COUNT(pairs, &key) > 10 ? XDP_DROP : XDP_PASS;
}
