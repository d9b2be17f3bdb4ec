/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* mapped: a counter per source, of IPv4 under its IPv4-mapped IPv6 address */
#include "case.h"

#include <linux/ipv6.h>

MAP(sources, HASH, struct in6_addr, __u64, 1024);

SEC("xdp")
int mapped(struct xdp_md *ctx)
{
	struct ethhdr *eth = DATA;
	struct ipv6hdr *ip6 = (void *)(eth + 1);
	struct iphdr *ip4 = (void *)(eth + 1);
	struct in6_addr source = {};

	if ((void *)(eth + 1) > END)
		return XDP_DROP;
	if (eth->h_proto == bpf_htons(ETH_P_IP)) {
		if ((void *)(ip4 + 1) > END || ip4->version != 4 || ip4->ihl < 5)
			return XDP_DROP;
		source.in6_u.u6_addr16[5] = 0xffff;
		source.in6_u.u6_addr32[3] = ip4->saddr;
	} else if (eth->h_proto == bpf_htons(ETH_P_IPV6)) {
		if ((void *)(ip6 + 1) > END || ip6->version != 6)
			return XDP_DROP;
		source = ip6->saddr;
	} else {
		return XDP_PASS;
	}
	return COUNT(sources, &source) > 100 ? XDP_DROP : XDP_PASS;
}
