/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * Packets per pair of VLAN ids (802.1ad outside, 802.1Q inside); a frame goes back
 * where it came from.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

struct tags {
	__be16 outer;
	__be16 outer_type;
	__be16 inner;
	__be16 type;
};

struct pair {
	__be16 outer;
	__be16 inner;
};

struct meter {
	__u64 packets;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, struct pair);
	__type(value, struct meter);
} meters SEC(".maps");

SEC("xdp")
int vlan_meter(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data;
	void *end = (void *)(long)ctx->data_end;
	struct ethhdr *eth = data;
	struct tags *tags = (void *)(eth + 1);
	struct meter *meter;
	struct pair pair;

	if ((void *)(tags + 1) > end)
		return XDP_PASS;
	if (eth->h_proto != bpf_htons(ETH_P_8021AD) ||
	    tags->outer_type != bpf_htons(ETH_P_8021Q))
		return XDP_PASS;
	pair.outer = tags->outer & bpf_htons(0x0fff);
	pair.inner = tags->inner & bpf_htons(0x0fff);
	meter = bpf_map_lookup_elem(&meters, &pair);
	if (!meter) {
		struct meter first = { .packets = 1 };

		bpf_map_update_elem(&meters, &pair, &first, BPF_ANY);
		return XDP_TX;
	}
	meter->packets++;
	return XDP_TX;
}

char _license[] SEC("license") = "GPL";
