/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* vlan: sources behind no, one or two VLAN tags */
#include "case.h"

struct tag {
	__be16 tci;
	__be16 type;
};

MAP(sources, HASH, __be32, __u64, 1024);

SEC("xdp")
int vlan(struct xdp_md *ctx)
{
	struct ethhdr *eth = DATA;
	void *next = eth + 1;
	struct iphdr *ip;
	__be16 type;
	__be32 source;
	int i;

	if (next > END)
		return XDP_DROP;
	type = eth->h_proto;
#pragma unroll
	for (i = 0; i < 2; i++) {
		struct tag *tag = next;

		if (type != bpf_htons(0x8100) && type != bpf_htons(0x88a8))
			break;
		if ((void *)(tag + 1) > END)
			return XDP_DROP;
		type = tag->type;
		next = tag + 1;
	}
	if (type != bpf_htons(ETH_P_IP))
		return XDP_PASS;
	ip = next;
	if ((void *)(ip + 1) > END || ip->ihl < 5)
		return XDP_DROP;
	source = ip->saddr;
	return COUNT(sources, &source) > 100 ? XDP_DROP : XDP_PASS;
}
