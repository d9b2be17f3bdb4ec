/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* either: the key is one of two, by protocol */
#include "case.h"

struct key {
	__be32 address;
	__u32 kind;
};

MAP(counts, HASH, struct key, __u64, 64);

SEC("xdp")
int either(struct xdp_md *ctx)
{
	struct iphdr *ip = parse_l3(ctx);
	struct key key = {};

	if (!ip)
		return XDP_DROP;
	if (ip->protocol == IPPROTO_TCP) {
		key.address = ip->saddr;
		key.kind = 1;
	} else {
		key.address = ip->daddr;
		key.kind = 2;
	}
	return COUNT(counts, &key) > 100 ? XDP_DROP : XDP_PASS;
}
