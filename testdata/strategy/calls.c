/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* calls: the key is built by the caller and used by a function */
#include "case.h"

MAP(sources, HASH, __be32, __u64, 64);

static __attribute__((noinline)) __u64 count(__be32 *key)
{
	return COUNT(sources, key);
}

SEC("xdp")
int calls(struct xdp_md *ctx)
{
	struct iphdr *ip = parse_l3(ctx);
	__be32 source;

	if (!ip)
		return XDP_DROP;
	source = ip->saddr;
	return count(&source) > 10 ? XDP_DROP : XDP_PASS;
}
