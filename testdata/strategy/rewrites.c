/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* rewrites: the key is read back from bytes that the program wrote */
#include "case.h"

MAP(counts, HASH, __be32, __u64, 64);

SEC("xdp")
int rewrites(struct xdp_md *ctx)
{
	struct iphdr *ip = parse_l3(ctx);
	__be32 key;

	if (!ip)
		return XDP_DROP;
	ip->saddr = bpf_htonl(0x0a000001);
	key = *(volatile __be32 *)&ip->saddr ^ ip->daddr;
	return COUNT(counts, &key) > 100 ? XDP_DROP : XDP_PASS;
}
