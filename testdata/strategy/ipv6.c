/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* ipv6: source and source port of TCP directly behind the IPv6 header */
#include "case.h"

#include <linux/ipv6.h>

struct client {
	struct in6_addr source;
	__be16 port;
	__u16 zero;
};

MAP(clients, HASH, struct client, __u64, 64);

SEC("xdp")
int ipv6(struct xdp_md *ctx)
{
	struct ethhdr *eth = DATA;
	struct ipv6hdr *ip = (void *)(eth + 1);
	struct l4hdr *l4 = (void *)(ip + 1);
	struct client client = {};

	if ((void *)(l4 + 1) > END)
		return XDP_DROP;
	if (eth->h_proto != bpf_htons(ETH_P_IPV6) || ip->nexthdr != IPPROTO_TCP)
		return XDP_PASS;
	client.source = ip->saddr;
	client.port = l4->source;
	return COUNT(clients, &client) > 100 ? XDP_DROP : XDP_PASS;
}
