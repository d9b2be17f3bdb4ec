/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * load-balancer: flows of the WAN go to the backends of the LAN that are alive.
 *
 * L4: what is no whole TCP or UDP packet, fragments included, is dropped.
 *
 *   lan  a heartbeat: the source address is a backend, registered or refreshed (full:
 *        ignored) with its source MAC. Always dropped.
 *   wan  flow (addresses, ports, protocol) known and its backend alive: refresh the
 *        flow, use the backend; backend not alive: delete the flow, treat it as new.
 *        New: the first live backend of list[hash of the flow mod height]; none:
 *        drop; store it (full: forward all the same). The destination address becomes
 *        the backend's; MACs: own as source, the backend's as destination; checksums
 *        follow; out(the backend's port).
 *
 * The lists are nf_consistent.h's: no table, a number per backend. Flows expire after
 * `flow_expiry`, backends after `backend_expiry` without a heartbeat; one whose index
 * went to another backend by then leaves its flows to that one.
 */
#define NF_PORTS
#include "nf.h"
#include "nf_chain.h"
#include "nf_consistent.h"
#include "nf_csum.h"
#include "nf_hash.h"

#define MOST_BACKENDS 32
#define NOWHERE 0xffffffffU
#define NOBODY 0xffffU

volatile const __u32 flow_capacity = 65536;
volatile const __u32 backend_capacity = MOST_BACKENDS;
/* Nanoseconds: 100 s. */
volatile const __u64 flow_expiry = 100000000000ULL;
volatile const __u64 backend_expiry = 100000000000ULL;
/* A prime number. */
volatile const __u32 height = 97;
volatile const __u64 lan_mac = 0x020000000001;

struct flow {
	__u32 backend;
	__u32 index;
};

struct backend {
	__u32 port;
	__u32 index;
};

struct slot {
	__be32 address;
	__u8 mac[ETH_ALEN];
	__u16 port;
	__u32 inverse;
};

NF_EXPIRING_MAP(flows, struct flow_key, struct flow, 65536, flow_capacity,
		flow_expiry);
NF_EXPIRING_MAP(backends, __be32, struct backend, MOST_BACKENDS,
		backend_capacity, backend_expiry);

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, MOST_BACKENDS);
	__type(key, __u32);
	__type(value, struct slot);
} slots SEC(".maps");

ALWAYS_INLINE int heartbeat(const struct iphdr *ip, __u64 now)
{
	const struct ethhdr *eth = (void *)ip - ETH_HLEN;
	struct backend first = { .port = LAN };
	struct backend *backend;
	__be32 address = ip->saddr;
	struct slot *slot;

	backend = backends_get(&address, now);
	if (backend) {
		backends_refresh(backend, now);
		return XDP_DROP;
	}
	if (!backends_insert(&address, &first, now))
		return XDP_DROP;
	slot = bpf_map_lookup_elem(&slots, &first.index);
	if (!slot)
		return XDP_DROP;
	slot->address = address;
	__builtin_memcpy(slot->mac, eth->h_source, ETH_ALEN);
	slot->port = LAN;
	slot->inverse = nf_inverse_step(first.index, height);
	return XDP_DROP;
}

/*
 * A backend's place in the list: turn and number in one, so that the least is the
 * first (and the verifier has one unknown to follow). NOWHERE: it is not alive.
 */
NEVER_INLINE __u32 place_of(__u32 row, __u32 number, __u64 now)
{
	struct slot *slot;

	if (!backends_chain_is_alive(number, now))
		return NOWHERE;
	slot = bpf_map_lookup_elem(&slots, &number);
	if (!slot)
		return NOWHERE;
	return nf_turn(row, number, slot->inverse, height) << 16 | number;
}

/* The first live backend of the list; NOBODY: there is none. */
NEVER_INLINE __u32 first_alive(__u32 row, __u64 now)
{
	__u32 number, place, least = NOWHERE;

	for (number = 0; number < MOST_BACKENDS; number++) {
		place = place_of(row, number, now);
		if (place < least)
			least = place;
	}
	return least & 0xffff;
}

/* The flow's backend; NOBODY: there is none. */
ALWAYS_INLINE __u32 backend_of(struct flow_key key, __u64 now)
{
	struct flow *flow = flows_get(&key, now);
	struct flow first = {};

	if (flow) {
		if (backends_chain_is_alive(flow->backend, now)) {
			flows_refresh(flow, now);
			return flow->backend;
		}
		flows_delete(&key);
	}
	first.backend = first_alive(NF_HASH(key, 0) % height, now);
	if (first.backend != NOBODY)
		flows_insert(&key, &first, now);
	return first.backend;
}

SEC("xdp")
int load_balancer(struct xdp_md *ctx)
{
	__u32 ifindex = ctx->ingress_ifindex;
	struct l4_check check;
	struct ethhdr *eth;
	struct slot *slot;
	struct l4hdr *l4;
	struct iphdr *ip;
	__u32 number;
	__u64 now;

	ip = parse_l3(ctx);
	if (!ip)
		return XDP_DROP;
	l4 = parse_l4(ctx, ip);
	if (!l4)
		return XDP_DROP;
	check = l4_check_of(ctx, ip, l4);
	if (!check.at)
		return XDP_DROP;
	now = bpf_ktime_get_ns();
	if (ifindex == lan_ifindex)
		return heartbeat(ip, now);
	if (ifindex != wan_ifindex)
		return XDP_DROP;

	number = backend_of(flow_of(ip, l4), now);
	slot = bpf_map_lookup_elem(&slots, &number);
	if (!slot)
		return XDP_DROP;
	set_address(ip, check, &ip->daddr, slot->address);
	eth = (void *)ip - ETH_HLEN;
	put_mac(eth->h_source, lan_mac);
	__builtin_memcpy(eth->h_dest, slot->mac, ETH_ALEN);
	return out(slot->port);
}

char _license[] SEC("license") = "GPL";
