/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* User space fills the map, the program only adds: merged, and the first
 * contents must survive the widening to one value per CPU. */
#include "case.h"

MAP(protocols, HASH, __u8, __u64, 256);

SEC("xdp")
int preloaded(struct xdp_md *ctx)
{
	struct iphdr *ip = DATA + sizeof(struct ethhdr);
	__u64 *count;
	__u8 key;

	if ((void *)(ip + 1) > END)
		return XDP_PASS;
	key = ip->protocol;
	count = bpf_map_lookup_elem(&protocols, &key);
	if (!count)
		return XDP_DROP;
	__sync_fetch_and_add(count, 1);
	return XDP_PASS;
}
