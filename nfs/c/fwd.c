/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * fwd: every frame of one port leaves by the other, with the out port's MAC as
 * source and its configured next hop as destination. No state.
 *
 * A frame of a port that is neither lan nor wan, or without a whole Ethernet
 * header, is dropped.
 */
#define NF_PORTS
#define NF_MACS
#include "nf.h"

SEC("xdp")
int fwd(struct xdp_md *ctx)
{
	void *end = (void *)(long)ctx->data_end;
	struct ethhdr *eth = (void *)(long)ctx->data;
	__u32 ifindex = ctx->ingress_ifindex;

	if ((void *)(eth + 1) > end)
		return XDP_DROP;
	if (ifindex == lan_ifindex) {
		set_macs(eth, wan_next_hop, wan_mac);
		return out(WAN);
	}
	if (ifindex == wan_ifindex) {
		set_macs(eth, lan_next_hop, lan_mac);
		return out(LAN);
	}
	return XDP_DROP;
}

char _license[] SEC("license") = "GPL";
