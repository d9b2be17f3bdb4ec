/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* short-ipv6: an IPv6 header need not be whole for its source to count */
#include "case.h"
#include <linux/in6.h>

MAP(sources, HASH, struct in6_addr, __u64, 1024);

SEC("xdp")
int short_ipv6(struct xdp_md *ctx)
{
	struct ethhdr *eth = DATA;
	struct in6_addr *source = (void *)(eth + 1) + 8, key;

	if ((void *)(source + 1) > END || eth->h_proto != bpf_htons(0x86dd))
		return XDP_PASS;
	key = *source;
	return COUNT(sources, &key) > 100 ? XDP_DROP : XDP_PASS;
}
