/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * What the network functions of this folder share: parsing, ports, verdicts.
 *
 * Parsing honours the IPv4 header length (IHL): options move the L4 header.
 *   "L3" wants IPv4: EtherType 0x0800, version 4, IHL >= 5, header in the frame.
 *   "L4" wants L3, no fragment (neither MF nor an offset), and a whole TCP (20
 *   bytes) or UDP (8 bytes) header. Both begin with the two port numbers.
 * Numbers of packets (addresses, ports) stay in network order everywhere.
 *
 * Ports. A network function with ports tests ctx->ingress_ifindex against the
 * read-only variables lan_ifindex and wan_ifindex (set them before loading) and
 * speaks of ports 0 (LAN) and 1 (WAN) otherwise. out(p) redirects through the
 * device map `ports`, which user space fills: ports[0] = lan, ports[1] = wan.
 *
 * Define before including: NF_PORTS for ports; NF_ENFORCE for the variable `enforce`
 * and finish(); NF_MACS for the read-only variables
 * lan_mac, wan_mac (our own), lan_next_hop, wan_next_hop and set_macs. A MAC is a
 * 48-bit number, its first byte the most significant: 02:00:00:00:00:01 is
 * 0x020000000001, so that it can be set as one number.
 */
#ifndef NF_H
#define NF_H

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define ALWAYS_INLINE static __attribute__((always_inline)) inline
/* A function of its own in the object. */
#define NEVER_INLINE static __attribute__((noinline, unused))

/* IPv4 fragment word: more fragments, and the offset. */
#define IP_MF 0x2000
#define IP_OFFSET 0x1fff

/* Where the TCP header has its numbers, length and flags; some flags. */
#define TCP_SEQ 4
#define TCP_ACKNO 8
#define TCP_OFFSET 12
#define TCP_FLAGS 13
#define TCP_FIN 0x01
#define TCP_SYN 0x02
#define TCP_RST 0x04
#define TCP_ACK 0x10

/* Bytes of the headers that parse_l4 finds whole. */
#define TCP_SIZE 20
#define UDP_SIZE 8

/* The part that TCP and UDP headers have in common. */
struct l4hdr {
	__be16 source;
	__be16 dest;
};

/* Bytes from the Ethernet header to the end, padding included. */
ALWAYS_INLINE __u64 frame_size(struct xdp_md *ctx)
{
	return (void *)(long)ctx->data_end - (void *)(long)ctx->data;
}

/* Pointer to the IPv4 header, or 0 where the frame is not L3. */
ALWAYS_INLINE struct iphdr *parse_l3(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data;
	void *end = (void *)(long)ctx->data_end;
	struct ethhdr *eth = data;
	struct iphdr *ip = (void *)(eth + 1);

	if ((void *)(ip + 1) > end)
		return 0;
	if (eth->h_proto != bpf_htons(ETH_P_IP))
		return 0;
	if (ip->version != 4 || ip->ihl < 5)
		return 0;
	if ((void *)ip + ip->ihl * 4 > end)
		return 0;
	return ip;
}

ALWAYS_INLINE int is_fragment(const struct iphdr *ip)
{
	return (ip->frag_off & bpf_htons(IP_MF | IP_OFFSET)) != 0;
}

/* Pointer to the TCP or UDP header behind `ip`, or 0 where the frame is not L4. */
ALWAYS_INLINE struct l4hdr *parse_l4(struct xdp_md *ctx, struct iphdr *ip)
{
	void *end = (void *)(long)ctx->data_end;
	void *l4 = (void *)ip + ip->ihl * 4;

	if (is_fragment(ip))
		return 0;
	if (ip->protocol == IPPROTO_TCP) {
		if (l4 + TCP_SIZE > end)
			return 0;
	} else if (ip->protocol == IPPROTO_UDP) {
		if (l4 + UDP_SIZE > end)
			return 0;
	} else {
		return 0;
	}
	return l4;
}

/* The flags of a TCP header; none for UDP. */
ALWAYS_INLINE __u8 tcp_flags(struct xdp_md *ctx, const struct iphdr *ip,
			     const struct l4hdr *l4)
{
	void *end = (void *)(long)ctx->data_end;

	if (ip->protocol != IPPROTO_TCP || (void *)l4 + TCP_SIZE > end)
		return 0;
	return ((const __u8 *)l4)[TCP_FLAGS];
}

/* What follows the TCP or UDP header, up to the end of the frame (padding too). */
ALWAYS_INLINE void *payload_of(struct xdp_md *ctx, const struct iphdr *ip,
			       void *l4)
{
	void *end = (void *)(long)ctx->data_end;
	__u32 words;

	if (ip->protocol != IPPROTO_TCP)
		return l4 + UDP_SIZE;
	if (l4 + TCP_SIZE > end)
		return end;
	words = ((__u8 *)l4)[TCP_OFFSET] >> 4;
	return l4 + (words < 5 ? 5 : words) * 4;
}

/* The key of one direction of one flow; 16 bytes, the padding is a field. */
struct flow_key {
	__be32 source;
	__be32 destination;
	__be16 source_port;
	__be16 destination_port;
	__u8 protocol;
	__u8 zero[3];
};

/* The key of the packet's own direction, and of the other one. */
ALWAYS_INLINE struct flow_key flow_of(const struct iphdr *ip,
				      const struct l4hdr *l4)
{
	struct flow_key key = {
		.source = ip->saddr,
		.destination = ip->daddr,
		.source_port = l4->source,
		.destination_port = l4->dest,
		.protocol = ip->protocol,
	};

	return key;
}

ALWAYS_INLINE struct flow_key swapped_flow_of(const struct iphdr *ip,
					      const struct l4hdr *l4)
{
	struct flow_key key = {
		.source = ip->daddr,
		.destination = ip->saddr,
		.source_port = l4->dest,
		.destination_port = l4->source,
		.protocol = ip->protocol,
	};

	return key;
}

/* A MAC as a number, into six bytes; and both addresses of a frame. */
ALWAYS_INLINE void put_mac(void *to, __u64 mac)
{
	*(__u16 *)to = bpf_htons(mac >> 32);
	*(__u32 *)(to + 2) = bpf_htonl(mac);
}

ALWAYS_INLINE void set_macs(struct ethhdr *eth, __u64 destination, __u64 source)
{
	put_mac(eth->h_dest, destination);
	put_mac(eth->h_source, source);
}

/* The frame goes back whence it came: its two MACs change places. */
ALWAYS_INLINE int bounce(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data;
	void *end = (void *)(long)ctx->data_end;
	struct ethhdr *eth = data;
	__u8 mac[ETH_ALEN];

	if ((void *)(eth + 1) > end)
		return XDP_DROP;
	__builtin_memcpy(mac, eth->h_dest, ETH_ALEN);
	__builtin_memcpy(eth->h_dest, eth->h_source, ETH_ALEN);
	__builtin_memcpy(eth->h_source, mac, ETH_ALEN);
	return XDP_TX;
}

#ifdef NF_ENFORCE

/* Off: bounce every packet that was understood. */
volatile const _Bool enforce = 1;

ALWAYS_INLINE int finish(struct xdp_md *ctx, int verdict)
{
	return enforce ? verdict : bounce(ctx);
}

#endif

#ifdef NF_PORTS

#define LAN 0
#define WAN 1

volatile const __u32 lan_ifindex = 1;
volatile const __u32 wan_ifindex = 2;

struct {
	__uint(type, BPF_MAP_TYPE_DEVMAP);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, __u32);
} ports SEC(".maps");

ALWAYS_INLINE int out(__u32 port)
{
	return bpf_redirect_map(&ports, port, 0);
}

/* To every port but the one the frame came from. */
ALWAYS_INLINE int flood(void)
{
	return bpf_redirect_map(&ports, 0,
				BPF_F_BROADCAST | BPF_F_EXCLUDE_INGRESS);
}

#endif

#ifdef NF_MACS

volatile const __u64 lan_mac = 0x020000000001;
volatile const __u64 wan_mac = 0x020000000002;
volatile const __u64 lan_next_hop = 0x020000000011;
volatile const __u64 wan_next_hop = 0x020000000012;

#endif

#endif
