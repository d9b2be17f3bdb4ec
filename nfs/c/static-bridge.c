/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * static-bridge: (destination MAC, input port) -> output port, a table that
 * user space loads before the start (at most half full) and nobody writes.
 *
 *   miss       flood (all ports but the input)
 *   value -2   drop
 *   value p    out(p)
 *
 * Any frame with an Ethernet header; a shorter one, or one of a port that is
 * neither lan nor wan, is dropped.
 */
#define NF_PORTS
#include "nf.h"

#define FILTERED -2

struct bridge_key {
	__u8 mac[6];
	__u16 port;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 8192);
	__type(key, struct bridge_key);
	__type(value, __s32);
} stations SEC(".maps");

SEC("xdp")
int static_bridge(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data;
	void *end = (void *)(long)ctx->data_end;
	struct ethhdr *eth = data;
	__u32 ifindex = ctx->ingress_ifindex;
	struct bridge_key key = {};
	__s32 *station;

	if ((void *)(eth + 1) > end)
		return XDP_DROP;
	if (ifindex == lan_ifindex)
		key.port = LAN;
	else if (ifindex == wan_ifindex)
		key.port = WAN;
	else
		return XDP_DROP;
	__builtin_memcpy(key.mac, eth->h_dest, sizeof(key.mac));

	station = bpf_map_lookup_elem(&stations, &key);
	if (!station)
		return flood();
	if (*station == FILTERED)
		return XDP_DROP;
	return out(*station);
}

char _license[] SEC("license") = "GPL";
