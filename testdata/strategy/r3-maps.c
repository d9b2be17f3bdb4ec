/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* r3-maps: two maps with keys that have nothing in common; one is only added to */
#include "case.h"

MAP(by_source, ARRAY, __u32, __u64, 65536);
MAP(by_destination, ARRAY, __u32, __u64, 65536);

SEC("xdp")
int r3_maps(struct xdp_md *ctx)
{
	struct iphdr *ip = parse_l3(ctx);
	__u64 *n;
	__u32 key;

	if (!ip)
		return XDP_DROP;
	key = ip->saddr >> 16;
	n = bpf_map_lookup_elem(&by_source, &key);
	if (!n || ++*n > 100)
		return XDP_DROP;
	key = ip->daddr >> 16;
	n = bpf_map_lookup_elem(&by_destination, &key);
	if (n)
		__sync_fetch_and_add(n, 1);
	return XDP_PASS;
}
