/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* queue-verdict: rare packets are judged by the CPU and the queue they came to */
#include "case.h"

MAP(sources, HASH, __be32, __u64, 1024);

SEC("xdp")
int queue_verdict(struct xdp_md *ctx)
{
	struct ethhdr *eth = DATA;
	struct iphdr *ip = (void *)(eth + 1);
	__be32 source;

	if ((void *)(ip + 1) > END || eth->h_proto != bpf_htons(ETH_P_IP) ||
	    ip->ihl < 5)
		return XDP_PASS;
	source = ip->saddr;
	if (COUNT(sources, &source) > 1000000 &&
	    bpf_get_smp_processor_id() + ctx->rx_queue_index > 2)
		return XDP_DROP;
	return XDP_PASS;
}
