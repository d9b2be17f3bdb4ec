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

/* IPv4 fragment word: more fragments, and the offset. */
#define IP_MF 0x2000
#define IP_OFFSET 0x1fff

/* TCP flags in byte 13 of the header. */
#define TCP_FIN 0x01
#define TCP_SYN 0x02

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
		if (l4 + 20 > end)
			return 0;
	} else if (ip->protocol == IPPROTO_UDP) {
		if (l4 + 8 > end)
			return 0;
	} else {
		return 0;
	}
	return l4;
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
#endif
