/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * heavy-hitter: a flow (addresses, ports, protocol) that sent `limit` bytes gets no
 * further packet through. Bytes are those of the whole frame, padding included.
 *
 *   flow known    add the frame's bytes; then FIN forgets the flow
 *   flow unknown  SYN or UDP creates it with the frame's bytes (FIN is not looked at)
 *
 * PASS if the total, this packet included (unknown: its own bytes), is below `limit`,
 * else DROP. enforce=false: the same counts, and every packet goes back (bounce).
 *
 * L4: what is no whole TCP or UDP packet, fragments included: DROP. Full table: the
 * flow stays unknown.
 */
#define NF_ENFORCE
#include "nf.h"

volatile const __u64 limit = 1024;

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__type(key, struct flow_key);
	__type(value, __u64);
} flows SEC(".maps");

SEC("xdp")
int heavy_hitter(struct xdp_md *ctx)
{
	__u64 total = frame_size(ctx);
	struct flow_key key;
	struct l4hdr *l4;
	struct iphdr *ip;
	__u64 *bytes;
	__u8 flags;

	ip = parse_l3(ctx);
	if (!ip)
		return XDP_DROP;
	l4 = parse_l4(ctx, ip);
	if (!l4)
		return XDP_DROP;
	key = flow_of(ip, l4);
	flags = tcp_flags(ctx, ip, l4);

	bytes = bpf_map_lookup_elem(&flows, &key);
	if (bytes) {
		total += *bytes;
		*bytes = total;
		if (flags & TCP_FIN)
			bpf_map_delete_elem(&flows, &key);
	} else if (ip->protocol == IPPROTO_UDP || flags & TCP_SYN) {
		bpf_map_update_elem(&flows, &key, &total, BPF_ANY);
	}
	return finish(ctx, total < limit ? XDP_PASS : XDP_DROP);
}

char _license[] SEC("license") = "GPL";
