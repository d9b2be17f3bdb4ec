/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* mac-count: counts per source MAC only: no NIC hashes it, software can */
#include "case.h"

struct mac {
	__u8 bytes[6];
};

MAP(stations, HASH, struct mac, __u64, 1024);

SEC("xdp")
int mac_count(struct xdp_md *ctx)
{
	struct ethhdr *eth = DATA;
	struct mac mac;

	if ((void *)(eth + 1) > END)
		return XDP_DROP;
	__builtin_memcpy(&mac, eth->h_source, 6);
	return COUNT(stations, &mac) > 100 ? XDP_DROP : XDP_PASS;
}
