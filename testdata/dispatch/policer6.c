/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* A token bucket per IPv6 destination, in packets: what exceeds it is dropped. */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/ipv6.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

struct bucket {
	__u64 tokens;
	__u64 last;
};

volatile const __u64 interval = 1000000;
volatile const __u64 burst = 8;

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__type(key, struct in6_addr);
	__type(value, struct bucket);
} buckets SEC(".maps");

SEC("xdp")
int policer6(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data;
	void *end = (void *)(long)ctx->data_end;
	struct ethhdr *eth = data;
	struct ipv6hdr *ip = (void *)(eth + 1);
	__u64 now, more;
	struct in6_addr to;
	struct bucket *bucket;

	if ((void *)(ip + 1) > end)
		return XDP_PASS;
	if (eth->h_proto != bpf_htons(ETH_P_IPV6))
		return XDP_PASS;
	now = bpf_ktime_get_ns();
	to = ip->daddr;
	bucket = bpf_map_lookup_elem(&buckets, &to);
	if (!bucket) {
		struct bucket first = { .tokens = burst - 1, .last = now };

		bpf_map_update_elem(&buckets, &to, &first, BPF_ANY);
		return XDP_PASS;
	}
	more = (now - bucket->last) / interval;
	if (more) {
		bucket->last = now;
		bucket->tokens += more;
		if (bucket->tokens > burst)
			bucket->tokens = burst;
	}
	if (!bucket->tokens)
		return XDP_DROP;
	bucket->tokens--;
	return XDP_PASS;
}

char _license[] SEC("license") = "GPL";
