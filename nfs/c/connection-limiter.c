/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * connection-limiter: how many flows of the WAN may one client have with one server?
 *
 * L4: what is no whole TCP or UDP packet, fragments included, is dropped. lan -> wan
 * passes. From wan, by flow (addresses, ports, protocol) and by pair (source and
 * destination address), whose count is the least of four in a count-min sketch:
 *
 *   known flow    refresh it and the pair's present cells; out(LAN)
 *   new flow      allocate it; table full: out(LAN), unlimited. If any cell of the
 *                 pair is present and the least present count is above max_clients:
 *                 drop. Else each present cell: refresh, + 1; each absent one:
 *                 present with count 0; out(LAN)
 *
 * A refused flow stays in the table, so that its later packets pass; `strict` deletes
 * it. A count starts at 0, so that max_clients + 2 flows of a pair are admitted. A
 * cell is present after its first use until it was not refreshed for `bucket_expiry`.
 */
#define NF_PORTS
#include "nf.h"
#include "nf_chain.h"
#include "nf_sketch.h"

#define ROWS 4

volatile const __u32 max_clients = 60;
volatile const _Bool strict = 0;
volatile const __u32 flow_capacity = 65536;
volatile const __u32 bucket_capacity = 65536;
/* Nanoseconds: 1 s, 10 s. */
volatile const __u64 flow_expiry = 1000000000ULL;
volatile const __u64 bucket_expiry = 10000000000ULL;

struct flow {
	__u32 port;
	__u32 index;
};

struct pair {
	__be32 source;
	__be32 destination;
};

struct client {
	__u64 last;
	__u32 count;
	__u32 used;
};

NF_EXPIRING_MAP(flows, struct flow_key, struct flow, 65536, flow_capacity,
		flow_expiry);
NF_SKETCH(clients, struct client, ROWS, 65536, bucket_capacity);

ALWAYS_INLINE int is_present(const struct client *client, __u64 now)
{
	return client->used && client->last + bucket_expiry >= now;
}

ALWAYS_INLINE void refresh_pair(struct pair pair, __u64 now)
{
	struct client *client;
	__u32 row;

#pragma unroll
	for (row = 0; row < ROWS; row++) {
		client = clients_cell(row, NF_HASH(pair, row + 1));
		if (client && is_present(client, now))
			client->last = now;
	}
}

ALWAYS_INLINE int is_above_limit(struct pair pair, __u64 now)
{
	__u32 row, least = 0xffffffff;
	struct client *client;
	int any = 0;

#pragma unroll
	for (row = 0; row < ROWS; row++) {
		client = clients_cell(row, NF_HASH(pair, row + 1));
		if (!client || !is_present(client, now))
			continue;
		any = 1;
		if (client->count < least)
			least = client->count;
	}
	return any && least > max_clients;
}

ALWAYS_INLINE void count_flow(struct pair pair, __u64 now)
{
	struct client *client;
	__u32 row;

#pragma unroll
	for (row = 0; row < ROWS; row++) {
		client = clients_cell(row, NF_HASH(pair, row + 1));
		if (!client)
			continue;
		client->count = is_present(client, now) ? client->count + 1 : 0;
		client->used = 1;
		client->last = now;
	}
}

SEC("xdp")
int connection_limiter(struct xdp_md *ctx)
{
	__u32 ifindex = ctx->ingress_ifindex;
	struct flow first = { .port = WAN };
	struct flow_key key;
	struct l4hdr *l4;
	struct iphdr *ip;
	struct flow *flow;
	struct pair pair;
	__u64 now;

	ip = parse_l3(ctx);
	if (!ip)
		return XDP_DROP;
	l4 = parse_l4(ctx, ip);
	if (!l4)
		return XDP_DROP;
	if (ifindex == lan_ifindex)
		return out(WAN);
	if (ifindex != wan_ifindex)
		return XDP_DROP;

	now = bpf_ktime_get_ns();
	key = flow_of(ip, l4);
	pair.source = key.source;
	pair.destination = key.destination;
	flow = flows_get(&key, now);
	if (flow) {
		flows_refresh(flow, now);
		refresh_pair(pair, now);
		return out(LAN);
	}
	if (!flows_insert(&key, &first, now))
		return out(LAN);
	if (is_above_limit(pair, now)) {
		if (strict)
			flows_delete(&key);
		return XDP_DROP;
	}
	count_flow(pair, now);
	return out(LAN);
}

char _license[] SEC("license") = "GPL";
