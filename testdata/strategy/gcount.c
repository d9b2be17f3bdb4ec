/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* gcount: a map that can be sharded beside a global counter whose value decides */
#include "case.h"

MAP(per_source, HASH, __be32, __u64, 1024);
MAP(total, ARRAY, __u32, __u64, 1);

SEC("xdp")
int gcount(struct xdp_md *ctx)
{
	struct iphdr *ip = parse_l3(ctx);
	__u32 zero = 0;
	__be32 source;
	__u64 *n;

	if (!ip)
		return XDP_DROP;
	source = ip->saddr;
	COUNT(per_source, &source);
	n = bpf_map_lookup_elem(&total, &zero);
	if (!n)
		return XDP_DROP;
	*n += 1;
	return *n > 1000 ? XDP_DROP : XDP_PASS;
}
