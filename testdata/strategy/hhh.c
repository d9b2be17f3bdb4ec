/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* hhh: buckets per source prefix of three lengths in one map */
#include "case.h"

struct prefix {
	__u32 length;
	__u32 bits;
};

MAP(buckets, HASH, struct prefix, __u64, 1024);

ALWAYS_INLINE __u64 level(__u32 source, int length)
{
	struct prefix prefix = { length, source & (~0U << (32 - length)) };

	return COUNT(buckets, &prefix);
}

SEC("xdp")
int hhh(struct xdp_md *ctx)
{
	struct iphdr *ip = parse_l3(ctx);
	__u64 sum = 0;
	__u32 source;

	if (!ip)
		return XDP_DROP;
	source = bpf_ntohl(ip->saddr);
	sum += level(source, 28);
	sum += level(source, 30);
	sum += level(source, 32);
	return sum > 100 ? XDP_DROP : XDP_PASS;
}
