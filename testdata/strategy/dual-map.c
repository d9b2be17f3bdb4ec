/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* dual-map: a counter per source and version, of IPv4 and IPv6 in one map */
#include "case.h"

#include <linux/ipv6.h>

struct host {
	struct in6_addr address;
	__u32 version;
};

MAP(sources, HASH, struct host, __u64, 1024);

SEC("xdp")
int dual_map(struct xdp_md *ctx)
{
	struct ethhdr *eth = DATA;
	struct ipv6hdr *ip6 = (void *)(eth + 1);
	struct iphdr *ip4 = (void *)(eth + 1);
	struct host host = {};

	if ((void *)(eth + 1) > END)
		return XDP_DROP;
	if (eth->h_proto == bpf_htons(ETH_P_IP)) {
		if ((void *)(ip4 + 1) > END || ip4->version != 4 || ip4->ihl < 5)
			return XDP_DROP;
		host.address.in6_u.u6_addr32[3] = ip4->saddr;
		host.version = 4;
	} else if (eth->h_proto == bpf_htons(ETH_P_IPV6)) {
		if ((void *)(ip6 + 1) > END || ip6->version != 6)
			return XDP_DROP;
		host.address = ip6->saddr;
		host.version = 6;
	} else {
		return XDP_PASS;
	}
	return COUNT(sources, &host) > 100 ? XDP_DROP : XDP_PASS;
}
