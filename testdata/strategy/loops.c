/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* loops: a callback writes its own context; the key beside it is untouched */
#include "case.h"

MAP(sources, HASH, __be32, __u64, 64);

struct progress {
	__u64 sum;
};

static int add(__u32 index, struct progress *progress)
{
	progress->sum += index;
	return 0;
}

SEC("xdp")
int loops(struct xdp_md *ctx)
{
	struct iphdr *ip = parse_l3(ctx);
	struct progress progress = {};
	__be32 source;

	if (!ip)
		return XDP_DROP;
	source = ip->saddr;
	bpf_loop(10, add, &progress, 0);
	return COUNT(sources, &source) > progress.sum ? XDP_DROP : XDP_PASS;
}
