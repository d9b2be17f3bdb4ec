/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * hash-lb: flows of the WAN go to one of 64 backends that user space lists (address
 * 0: none there); nobody writes the list afterwards.
 *
 * L4: what is no whole TCP or UDP packet, fragments included, is dropped.
 *
 *   lan  out(WAN), unchanged
 *   wan  flow (addresses, ports, protocol) known: refresh, its backend; new: backend
 *        = hash of the flow mod 64, stored (full: forwarded all the same). No such
 *        backend: drop, and nothing is stored. The destination address becomes the
 *        backend's; MACs: own as source, the backend's as destination; checksums
 *        follow; out(LAN). A TCP packet with FIN or RST deletes its flow, or does not
 *        store it.
 *
 * A flow is expired after `expiry` without a packet.
 */
#define NF_PORTS
#include "nf.h"
#include "nf_chain.h"
#include "nf_csum.h"
#include "nf_hash.h"

#define BACKENDS 64

volatile const __u32 capacity = 65536;
/* Nanoseconds: 100 s. */
volatile const __u64 expiry = 100000000000ULL;
volatile const __u64 lan_mac = 0x020000000001;

struct flow {
	__u32 backend;
	__u32 index;
};

struct backend {
	__be32 address;
	__u8 mac[ETH_ALEN];
	__u8 zero[2];
};

NF_EXPIRING_MAP(flows, struct flow_key, struct flow, 65536, capacity, expiry);

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, BACKENDS);
	__type(key, __u32);
	__type(value, struct backend);
} backends SEC(".maps");

SEC("xdp")
int hash_lb(struct xdp_md *ctx)
{
	__u32 ifindex = ctx->ingress_ifindex;
	struct l4_check check;
	struct flow_key key;
	struct backend *backend;
	struct flow first = {};
	struct ethhdr *eth;
	struct l4hdr *l4;
	struct iphdr *ip;
	struct flow *flow;
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
	if (ifindex == lan_ifindex)
		return out(WAN);
	if (ifindex != wan_ifindex)
		return XDP_DROP;

	now = bpf_ktime_get_ns();
	key = flow_of(ip, l4);
	flow = flows_get(&key, now);
	number = flow ? flow->backend : NF_HASH(key, 0) % BACKENDS;
	backend = bpf_map_lookup_elem(&backends, &number);
	if (!backend || !backend->address)
		return XDP_DROP;
	if (tcp_flags(ctx, ip, l4) & (TCP_FIN | TCP_RST)) {
		if (flow)
			flows_delete(&key);
	} else if (flow) {
		flows_refresh(flow, now);
	} else {
		first.backend = number;
		flows_insert(&key, &first, now);
	}
	set_address(ip, check, &ip->daddr, backend->address);
	eth = (void *)ip - ETH_HLEN;
	put_mac(eth->h_source, lan_mac);
	__builtin_memcpy(eth->h_dest, backend->mac, ETH_ALEN);
	return out(LAN);
}

char _license[] SEC("license") = "GPL";
