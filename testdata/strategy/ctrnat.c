/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* ctrnat: external ports from a global counter, never freed */
#include "case.h"

struct inside {
	__be32 address;
	__be16 port;
	__u16 zero;
};

MAP(next_port, ARRAY, __u32, __u32, 1);
MAP(out_map, HASH, struct inside, __u32, 1024);
MAP(in_map, HASH, __u32, struct inside, 1024);

SEC("xdp")
int ctrnat(struct xdp_md *ctx)
{
	struct iphdr *ip = parse_l3(ctx);
	struct inside key = {}, *host;
	__u32 zero = 0, port, *known, *next;
	struct l4hdr *l4;

	if (!ip)
		return XDP_DROP;
	l4 = parse_l4(ctx, ip);
	if (!l4)
		return XDP_DROP;
	if (ctx->ingress_ifindex == lan_ifindex) {
		key.address = ip->saddr;
		key.port = l4->source;
		known = bpf_map_lookup_elem(&out_map, &key);
		if (known) {
			port = *known;
		} else {
			next = bpf_map_lookup_elem(&next_port, &zero);
			if (!next)
				return XDP_DROP;
			port = (*next)++;
			bpf_map_update_elem(&out_map, &key, &port, BPF_ANY);
			bpf_map_update_elem(&in_map, &port, &key, BPF_ANY);
		}
		l4->source = bpf_htons(port);
		return XDP_TX;
	}
	port = bpf_ntohs(l4->dest);
	host = bpf_map_lookup_elem(&in_map, &port);
	if (!host)
		return XDP_DROP;
	ip->daddr = host->address;
	return XDP_TX;
}
