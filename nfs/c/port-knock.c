/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * port-knock: a source that sends to TCP ports 100, 101, 102 in this order gets
 * the packet through that completes the sequence; all else is dropped.
 *
 *   source known    state 0 -> 1 on port 100, 1 -> 2 on 101, 2 -> OPEN on 102;
 *                   anything else -> 0, also from OPEN. Then FIN forgets the
 *                   source. PASS if the new state is OPEN, else DROP.
 *   source unknown  SYN creates it in state 1 if the port is 100, else in 0
 *                   (FIN is not looked at); DROP. No SYN: DROP.
 *
 * enforce=false: the same states, and every packet goes back (bounce).
 *
 * Not TCP, a fragment, too short: DROP. Full table: the source stays unknown.
 */
#define NF_ENFORCE
#include "nf.h"

#define KNOCK_1 100
#define KNOCK_2 101
#define KNOCK_3 102

#define CLOSED 0
#define FIRST 1
#define SECOND 2
#define OPEN 3

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__type(key, __be32);
	__type(value, __u32);
} sources SEC(".maps");

ALWAYS_INLINE __u32 next_state(__u32 state, __be16 port)
{
	if (state == CLOSED && port == bpf_htons(KNOCK_1))
		return FIRST;
	if (state == FIRST && port == bpf_htons(KNOCK_2))
		return SECOND;
	if (state == SECOND && port == bpf_htons(KNOCK_3))
		return OPEN;
	return CLOSED;
}

SEC("xdp")
int port_knock(struct xdp_md *ctx)
{
	struct l4hdr *l4;
	struct iphdr *ip;
	__u32 *state, next;
	__be32 source;
	__u8 flags;

	ip = parse_l3(ctx);
	if (!ip || ip->protocol != IPPROTO_TCP)
		return XDP_DROP;
	l4 = parse_l4(ctx, ip);
	if (!l4)
		return XDP_DROP;
	if ((void *)l4 + 20 > (void *)(long)ctx->data_end)
		return XDP_DROP;
	source = ip->saddr;
	flags = ((__u8 *)l4)[13];

	state = bpf_map_lookup_elem(&sources, &source);
	if (!state) {
		if (flags & TCP_SYN) {
			next = l4->dest == bpf_htons(KNOCK_1) ? FIRST : CLOSED;
			bpf_map_update_elem(&sources, &source, &next, BPF_ANY);
		}
		return finish(ctx, XDP_DROP);
	}
	next = next_state(*state, l4->dest);
	*state = next;
	if (flags & TCP_FIN)
		bpf_map_delete_elem(&sources, &source);
	return finish(ctx, next == OPEN ? XDP_PASS : XDP_DROP);
}

char _license[] SEC("license") = "GPL";
