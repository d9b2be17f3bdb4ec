/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* dbridge: learns source MACs, looks destination MACs up */
#include "case.h"

struct mac {
	__u8 bytes[6];
};

MAP(stations, HASH, struct mac, __u32, 1024);

SEC("xdp")
int dbridge(struct xdp_md *ctx)
{
	__u32 port = ctx->ingress_ifindex, *known;
	struct ethhdr *eth = DATA;
	struct mac mac;

	if ((void *)(eth + 1) > END)
		return XDP_DROP;
	__builtin_memcpy(&mac, eth->h_source, 6);
	if (!bpf_map_lookup_elem(&stations, &mac))
		bpf_map_update_elem(&stations, &mac, &port, BPF_ANY);
	__builtin_memcpy(&mac, eth->h_dest, 6);
	known = bpf_map_lookup_elem(&stations, &mac);
	if (!known)
		return XDP_PASS;
	return *known == port ? XDP_DROP : XDP_TX;
}
