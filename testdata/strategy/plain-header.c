/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* plain-header: ports at fixed offsets behind a header that is tested to be plain */
#include "case.h"

MAP(ports_seen, HASH, __be16, __u64, 1024);

SEC("xdp")
int plain_header(struct xdp_md *ctx)
{
	struct ethhdr *eth = DATA;
	struct iphdr *ip = (void *)(eth + 1);
	struct l4hdr *l4 = (void *)(ip + 1);
	__be16 port;

	if ((void *)(l4 + 1) > END)
		return XDP_DROP;
	if (eth->h_proto != bpf_htons(ETH_P_IP) || ip->ihl != 5)
		return XDP_PASS;
	if (ip->protocol != IPPROTO_UDP || is_fragment(ip))
		return XDP_PASS;
	port = l4->source;
	return COUNT(ports_seen, &port) > 100 ? XDP_DROP : XDP_PASS;
}
