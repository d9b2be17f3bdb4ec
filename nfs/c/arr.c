/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * arr: packets by the low byte of the destination port, in an array. One path, so
 * that a check that compares different paths only would miss that two packets meet.
 *
 * L4: what is no whole TCP or UDP packet, fragments included, is dropped; all else
 * passes.
 */
#include "nf.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 256);
	__type(key, __u32);
	__type(value, __u64);
} counts SEC(".maps");

SEC("xdp")
int arr(struct xdp_md *ctx)
{
	struct iphdr *ip = parse_l3(ctx);
	struct l4hdr *l4;
	__u64 *packets;
	__u32 at;

	if (!ip)
		return XDP_DROP;
	l4 = parse_l4(ctx, ip);
	if (!l4)
		return XDP_DROP;
	at = bpf_ntohs(l4->dest) & 255;
	packets = bpf_map_lookup_elem(&counts, &at);
	if (packets)
		*packets += 1;
	return XDP_PASS;
}

char _license[] SEC("license") = "GPL";
