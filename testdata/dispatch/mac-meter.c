/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* Bytes and packets per source MAC; a frame goes back where it came from. */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <bpf/bpf_helpers.h>

struct station {
	__u8 address[8];
};

struct meter {
	__u64 packets;
	__u64 bytes;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, struct station);
	__type(value, struct meter);
} meters SEC(".maps");

SEC("xdp")
int mac_meter(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data;
	void *end = (void *)(long)ctx->data_end;
	struct ethhdr *eth = data;
	struct station who = {};
	struct meter *meter;

	if ((void *)(eth + 1) > end)
		return XDP_DROP;
	__builtin_memcpy(who.address, eth->h_source, ETH_ALEN);
	meter = bpf_map_lookup_elem(&meters, &who);
	if (!meter) {
		struct meter first = { .packets = 1, .bytes = end - data };

		if (bpf_map_update_elem(&meters, &who, &first, BPF_ANY))
			return XDP_PASS;
		return XDP_TX;
	}
	meter->packets++;
	meter->bytes += end - data;
	/* Every eighth packet of a station is kept. */
	return meter->packets & 7 ? XDP_TX : XDP_DROP;
}

char _license[] SEC("license") = "GPL";
