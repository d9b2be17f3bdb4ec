/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * nop: every frame of one port leaves by the other, unchanged. No state.
 * A frame of a port that is neither lan nor wan is dropped.
 */
#define NF_PORTS
#include "nf.h"

SEC("xdp")
int nop(struct xdp_md *ctx)
{
	__u32 ifindex = ctx->ingress_ifindex;

	if (ifindex == lan_ifindex)
		return out(WAN);
	if (ifindex == wan_ifindex)
		return out(LAN);
	return XDP_DROP;
}

char _license[] SEC("license") = "GPL";
