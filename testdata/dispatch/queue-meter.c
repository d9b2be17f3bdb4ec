/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* Of each source MAC the interface and the receive queue of its last frame. */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <bpf/bpf_helpers.h>

struct station {
	__u8 address[8];
};

struct arrival {
	__u64 packets;
	__u32 ifindex;
	__u32 queue;
	__u32 metadata;
	__u32 reserved;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, struct station);
	__type(value, struct arrival);
} arrivals SEC(".maps");

SEC("xdp")
int queue_meter(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data;
	void *end = (void *)(long)ctx->data_end;
	struct ethhdr *eth = data;
	struct arrival arrival = { .packets = 1 };
	struct arrival *known;
	struct station who = {};

	if ((void *)(eth + 1) > end)
		return XDP_DROP;
	__builtin_memcpy(who.address, eth->h_source, ETH_ALEN);
	arrival.ifindex = ctx->ingress_ifindex;
	arrival.queue = ctx->rx_queue_index;
	arrival.metadata = ctx->data - ctx->data_meta;
	known = bpf_map_lookup_elem(&arrivals, &who);
	if (known) {
		arrival.packets += known->packets;
		*known = arrival;
	} else {
		bpf_map_update_elem(&arrivals, &who, &arrival, BPF_ANY);
	}
	return XDP_DROP;
}

char _license[] SEC("license") = "GPL";
