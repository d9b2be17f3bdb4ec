/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * policer: a token bucket per destination address for what comes from the WAN.
 *
 * L3: what is not IPv4 is dropped, on both ports. lan -> wan passes. From wan,
 * size = the whole frame, all times in nanoseconds:
 *
 *   known    dt = now - last; tokens = min(burst, tokens + dt * rate / 1e9) if
 *            dt < burst * 1e9 / rate, else burst; last = now; out(LAN) iff
 *            tokens > size (strict), which then costs size tokens
 *   unknown  size > burst: drop; table full: drop; else tokens = burst - size,
 *            last = now, out(LAN)
 *
 * Expiry: a bucket with last < now - burst * 1e9 / rate counts as unknown. It is
 * found by the lookup that would have used it and then overwritten in place; an
 * expired bucket that nobody asks for keeps its place in the table.
 */
#define NF_PORTS
#include "nf.h"

#define SECOND 1000000000ULL

/* Bytes per second, and bytes. burst * 1e9 must fit 64 bits. */
volatile const __u64 rate = 1000000;
volatile const __u64 burst = 100000;

struct bucket {
	__u64 tokens;
	__u64 last;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__type(key, __be32);
	__type(value, struct bucket);
} buckets SEC(".maps");

SEC("xdp")
int policer(struct xdp_md *ctx)
{
	__u64 size = frame_size(ctx);
	__u32 ifindex = ctx->ingress_ifindex;
	__u64 now, full_after, elapsed, tokens, most;
	struct bucket *bucket;
	__be32 destination;
	struct iphdr *ip;

	ip = parse_l3(ctx);
	if (!ip)
		return XDP_DROP;
	if (ifindex == lan_ifindex)
		return out(WAN);
	if (ifindex != wan_ifindex)
		return XDP_DROP;

	now = bpf_ktime_get_ns();
	most = burst;
	full_after = most * SECOND / rate;
	destination = ip->daddr;
	bucket = bpf_map_lookup_elem(&buckets, &destination);
	if (bucket && bucket->last + full_after >= now) {
		elapsed = now - bucket->last;
		tokens = most;
		if (elapsed < full_after) {
			tokens = bucket->tokens + elapsed * rate / SECOND;
			if (tokens > most)
				tokens = most;
		}
		bucket->last = now;
		if (tokens <= size) {
			bucket->tokens = tokens;
			return XDP_DROP;
		}
		bucket->tokens = tokens - size;
		return out(LAN);
	}

	if (size > most)
		return XDP_DROP;
	if (bucket) {
		bucket->tokens = most - size;
		bucket->last = now;
	} else {
		struct bucket first = { .tokens = most - size, .last = now };

		if (bpf_map_update_elem(&buckets, &destination, &first, BPF_ANY))
			return XDP_DROP;
	}
	return out(LAN);
}

char _license[] SEC("license") = "GPL";
