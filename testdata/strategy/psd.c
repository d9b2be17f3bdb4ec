/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* psd: ports per source: one key is a part of the other */
#include "case.h"

struct probe {
	__be32 source;
	__be16 port;
	__u16 zero;
};

MAP(sources, HASH, __be32, __u64, 1024);
MAP(probes, HASH, struct probe, __u8, 65536);

SEC("xdp")
int psd(struct xdp_md *ctx)
{
	struct iphdr *ip = parse_l3(ctx);
	struct probe probe = {};
	struct l4hdr *l4;
	__u8 yes = 1;

	if (!ip)
		return XDP_DROP;
	l4 = parse_l4(ctx, ip);
	if (!l4)
		return XDP_DROP;
	probe.source = ip->saddr;
	probe.port = l4->dest;
	if (bpf_map_lookup_elem(&probes, &probe))
		return XDP_PASS;
	if (COUNT(sources, &probe.source) > 64)
		return XDP_DROP;
	bpf_map_update_elem(&probes, &probe, &yes, BPF_ANY);
	return XDP_PASS;
}
