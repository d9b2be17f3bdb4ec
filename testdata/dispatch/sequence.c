/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * Numbers per source port: each packet carries, behind its UDP header, which of its
 * source port's it is. What is not the next one is counted. Between reading the last
 * number and writing the new one the program takes its time, so that two CPUs at one
 * key are seen, too.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/udp.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_endian.h>

/* How long. */
volatile const __u32 turns = 200;

struct source {
	__u32 address;
	__u32 port;
};

struct seen {
	__u32 last;
	__u32 wrong;
	__u64 work;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__type(key, struct source);
	__type(value, struct seen);
} sequences SEC(".maps");

SEC("xdp")
int sequence(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data;
	void *end = (void *)(long)ctx->data_end;
	struct ethhdr *eth = data;
	struct iphdr *ip = (void *)(eth + 1);
	struct udphdr *udp = (void *)(ip + 1);
	__u32 *number = (void *)(udp + 1);
	struct source who = {};
	struct seen *seen;
	__u32 last, turn;
	__u64 work;

	if ((void *)(number + 1) > end)
		return XDP_PASS;
	if (eth->h_proto != bpf_htons(ETH_P_IP) || ip->ihl != 5 ||
	    ip->protocol != IPPROTO_UDP)
		return XDP_PASS;
	who.address = ip->saddr;
	who.port = udp->source;
	seen = bpf_map_lookup_elem(&sequences, &who);
	if (!seen) {
		struct seen first = { .last = bpf_ntohl(*number) };

		first.wrong = first.last != 1;
		bpf_map_update_elem(&sequences, &who, &first, BPF_ANY);
		return XDP_DROP;
	}
	last = *(volatile __u32 *)&seen->last;
	work = last;
	for (turn = 0; turn < turns; turn++) {
		work = work * 6364136223846793005ULL + turn;
		asm volatile("" : "+r"(work));
	}
	if (bpf_ntohl(*number) != last + 1)
		seen->wrong++;
	seen->last = last + 1;
	seen->work = work;
	return XDP_DROP;
}

char _license[] SEC("license") = "GPL";
