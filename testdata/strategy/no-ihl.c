/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* no-ihl: four-tuple at fixed offsets: options and fragments are not looked at */
#include "case.h"

struct tuple {
	__be32 source, destination;
	struct l4hdr ports;
};

MAP(flows, HASH, struct tuple, __u64, 1024);

SEC("xdp")
int no_ihl(struct xdp_md *ctx)
{
	struct ethhdr *eth = DATA;
	struct iphdr *ip = (void *)(eth + 1);
	struct l4hdr *l4 = (void *)(ip + 1);
	struct tuple tuple;

	if ((void *)(l4 + 1) > END)
		return XDP_DROP;
	if (eth->h_proto != bpf_htons(ETH_P_IP) || ip->ihl < 5)
		return XDP_PASS;
	tuple.source = ip->saddr;
	tuple.destination = ip->daddr;
	tuple.ports = *l4;
	return COUNT(flows, &tuple) > 100 ? XDP_DROP : XDP_PASS;
}
