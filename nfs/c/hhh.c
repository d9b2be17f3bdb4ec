/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * hhh: hierarchical heavy hitters. Which source prefixes of the WAN send more than
 * their share of the link? It reports them and drops nothing for it.
 *
 * L3: what is not IPv4 is dropped, on both ports. lan -> wan passes. From wan, for
 * each prefix length that `levels` selects (bit i: /(i + 1)), short ones first, a
 * token bucket per masked source address at link_rate / 8 * threshold % bytes per
 * second:
 *
 *   known    take the frame's size; not enough tokens: report
 *   unknown  the frame is larger than burst: report; else a new bucket with
 *            burst - size tokens; table full: no deeper levels
 *
 * Always out(LAN). A report is an event {address, length} in the ring buffer
 * `reports`; a ring that nobody empties loses them. A bucket expires after
 * burst / rate, when it would be full. All levels share one table of `capacity`.
 */
#define NF_PORTS
#include "nf.h"
#include "nf_bucket.h"
#include "nf_chain.h"

/* Bits per second, per cent, bytes. burst * 1e9 must fit 64 bits. */
volatile const __u64 link_rate = 10000000;
volatile const __u64 threshold = 50;
volatile const __u64 burst = 100000;
/* /8, /16, /24. */
volatile const __u32 levels = 0x00808080;
volatile const __u32 capacity = 65536;

struct prefix {
	__be32 address;
	__u32 length;
};

struct bucket {
	__u64 tokens;
	__u64 last;
	__u32 index;
	__u32 zero;
};

ALWAYS_INLINE __u64 level_rate(void)
{
	return link_rate / 8 * threshold / 100;
}

NF_EXPIRING_MAP(sources, struct prefix, struct bucket, 65536, capacity,
		nf_full_after(level_rate(), burst));

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 65536);
} reports SEC(".maps");

ALWAYS_INLINE void report(struct prefix *prefix)
{
	bpf_ringbuf_output(&reports, prefix, sizeof(*prefix), 0);
}

/* One level; 0: no room, the deeper ones are left out. */
NEVER_INLINE int measure(__u32 source, __u32 length, __u64 size, __u64 now)
{
	struct prefix prefix = {
		.address = bpf_htonl(source & ~0U << (32 - length)),
		.length = length,
	};
	struct bucket *bucket = sources_get(&prefix, now);
	struct bucket first = { .tokens = burst - size, .last = now };

	if (bucket) {
		sources_refresh(bucket, now);
		if (!nf_take(&bucket->tokens, &bucket->last, size, now,
			     level_rate(), burst))
			report(&prefix);
		return 1;
	}
	if (size > burst) {
		report(&prefix);
		return 1;
	}
	return sources_insert(&prefix, &first, now);
}

SEC("xdp")
int hhh(struct xdp_md *ctx)
{
	__u32 ifindex = ctx->ingress_ifindex;
	__u64 size = frame_size(ctx);
	struct iphdr *ip;
	__u32 source, level;
	__u64 now;

	ip = parse_l3(ctx);
	if (!ip)
		return XDP_DROP;
	if (ifindex == lan_ifindex)
		return out(WAN);
	if (ifindex != wan_ifindex)
		return XDP_DROP;

	now = bpf_ktime_get_ns();
	source = bpf_ntohl(ip->saddr);
#pragma unroll
	for (level = 0; level < 32; level++) {
		if (!(levels & 1U << level))
			continue;
		if (!measure(source, level + 1, size, now))
			break;
	}
	return out(LAN);
}

char _license[] SEC("license") = "GPL";
