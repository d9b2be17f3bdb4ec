/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * dynamic-bridge: learns which port a station is behind from the source MACs of
 * its frames. Any frame with an Ethernet header.
 *
 *   source       known: refresh; with learn_moves the stored port becomes the
 *                input port, without it never changes. Unknown: store the input
 *                port; full: skip. Learning comes first.
 *   destination  unknown: flood (all ports but the input); its port is the input:
 *                drop; else out(port). No refresh.
 *
 * A station that was silent for longer than `expiry` is unknown. A frame without
 * a whole Ethernet header, or of a port that is neither lan nor wan, is dropped.
 * Group addresses are learned and looked up like any other.
 */
#define NF_PORTS
#include "nf.h"
#include "nf_chain.h"

/* Nanoseconds: 300 s. */
volatile const __u64 expiry = 300000000000ULL;
volatile const __u32 capacity = 65536;
volatile const _Bool learn_moves = 0;

struct mac {
	__u8 bytes[ETH_ALEN];
};

struct station {
	__u32 port;
	__u32 index;
};

NF_EXPIRING_MAP(stations, struct mac, struct station, 65536, capacity, expiry);

ALWAYS_INLINE void learn(const struct mac *mac, __u32 port, __u64 now)
{
	struct station *station = stations_get(mac, now);
	struct station first = { .port = port };

	if (!station) {
		stations_insert(mac, &first, now);
		return;
	}
	if (learn_moves)
		station->port = port;
	stations_refresh(station, now);
}

SEC("xdp")
int dynamic_bridge(struct xdp_md *ctx)
{
	void *end = (void *)(long)ctx->data_end;
	struct ethhdr *eth = (void *)(long)ctx->data;
	__u32 ifindex = ctx->ingress_ifindex;
	struct station *station;
	struct mac mac;
	__u32 port;
	__u64 now;

	if (ifindex == lan_ifindex)
		port = LAN;
	else if (ifindex == wan_ifindex)
		port = WAN;
	else
		return XDP_DROP;
	if ((void *)(eth + 1) > end)
		return XDP_DROP;
	now = bpf_ktime_get_ns();
	__builtin_memcpy(mac.bytes, eth->h_source, ETH_ALEN);
	learn(&mac, port, now);

	__builtin_memcpy(mac.bytes, eth->h_dest, ETH_ALEN);
	station = stations_get(&mac, now);
	if (!station)
		return flood();
	if (station->port == port)
		return XDP_DROP;
	return out(station->port);
}

char _license[] SEC("license") = "GPL";
