/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * token-bucket: a flow (addresses, ports, protocol) may send a packet per 1024 ns, and
 * 16 at once.
 *
 *   flow known    n = min(16, tokens + ((now - last) >> 10)), in 32 bits; last = now;
 *                 n >= 1: one is spent, PASS; else DROP. Then FIN forgets the flow.
 *   flow unknown  SYN or UDP creates it with 15 tokens (FIN is not looked at); PASS
 *
 * Time between packets closer than 1024 ns is lost: they never earn a token.
 * enforce=false: the same buckets, and every packet goes back (bounce).
 *
 * L4: what is no whole TCP or UDP packet, fragments included: DROP. Full table: the
 * flow stays unknown.
 */
#define NF_ENFORCE
#include "nf.h"

#define MOST_TOKENS 16
#define TOKEN_SHIFT 10

struct bucket {
	__u32 tokens;
	__u32 zero;
	__u64 last;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__type(key, struct flow_key);
	__type(value, struct bucket);
} flows SEC(".maps");

/* Is there a token for this packet? */
ALWAYS_INLINE int take(struct bucket *bucket, __u64 now)
{
	__u32 earned = (now - bucket->last) >> TOKEN_SHIFT;
	__u32 tokens = bucket->tokens + earned;

	if (tokens > MOST_TOKENS)
		tokens = MOST_TOKENS;
	bucket->last = now;
	bucket->tokens = tokens == 0 ? 0 : tokens - 1;
	return tokens != 0;
}

SEC("xdp")
int token_bucket(struct xdp_md *ctx)
{
	int verdict = XDP_PASS;
	struct bucket *bucket;
	struct flow_key key;
	struct l4hdr *l4;
	struct iphdr *ip;
	__u8 flags;
	__u64 now;

	ip = parse_l3(ctx);
	if (!ip)
		return XDP_DROP;
	l4 = parse_l4(ctx, ip);
	if (!l4)
		return XDP_DROP;
	key = flow_of(ip, l4);
	flags = tcp_flags(ctx, ip, l4);
	now = bpf_ktime_get_ns();

	bucket = bpf_map_lookup_elem(&flows, &key);
	if (bucket) {
		if (!take(bucket, now))
			verdict = XDP_DROP;
		if (flags & TCP_FIN)
			bpf_map_delete_elem(&flows, &key);
	} else if (ip->protocol == IPPROTO_UDP || flags & TCP_SYN) {
		struct bucket first = { .tokens = MOST_TOKENS - 1, .last = now };

		bpf_map_update_elem(&flows, &key, &first, BPF_ANY);
	}
	return finish(ctx, verdict);
}

char _license[] SEC("license") = "GPL";
