/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* dual-stack: a counter per source, of IPv4 in one map and of IPv6 in another */
#include "case.h"

#include <linux/ipv6.h>

MAP(sources4, HASH, __be32, __u64, 1024);
MAP(sources6, HASH, struct in6_addr, __u64, 1024);

SEC("xdp")
int dual_stack(struct xdp_md *ctx)
{
	struct ethhdr *eth = DATA;
	struct ipv6hdr *ip6 = (void *)(eth + 1);
	struct iphdr *ip4 = (void *)(eth + 1);
	struct in6_addr source6;
	__be32 source4;

	if ((void *)(eth + 1) > END)
		return XDP_DROP;
	if (eth->h_proto == bpf_htons(ETH_P_IP)) {
		if ((void *)(ip4 + 1) > END || ip4->version != 4 || ip4->ihl < 5)
			return XDP_DROP;
		source4 = ip4->saddr;
		return COUNT(sources4, &source4) > 100 ? XDP_DROP : XDP_PASS;
	}
	if (eth->h_proto != bpf_htons(ETH_P_IPV6))
		return XDP_PASS;
	if ((void *)(ip6 + 1) > END || ip6->version != 6)
		return XDP_DROP;
	source6 = ip6->saddr;
	return COUNT(sources6, &source6) > 100 ? XDP_DROP : XDP_PASS;
}
