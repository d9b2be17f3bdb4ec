/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * Incremental checksums: RFC 1624 equation 3, HC' = ~(~HC + ~m + m').
 *
 * Words are taken as they lie in memory: a one's complement sum does not mind
 * the byte order as long as all words have the same. A checksum that was wrong
 * stays wrong by the same difference.
 *
 * set_address and set_port change an unfragmented packet whose TCP or UDP header
 * is whole (parse_l4 said so): they keep the IPv4 header checksum and the TCP or
 * UDP checksum. A UDP checksum of 0 means "none" and stays 0; one that becomes 0
 * is written as 0xffff (RFC 768).
 *
 *   struct l4_check check = l4_check_of(ctx, ip, l4);
 *
 *   if (!check.at)
 *           return XDP_DROP;      (for the verifier: parse_l4 said that it is there)
 *   set_address(ip, check, &ip->daddr, address);
 *   set_port(check, &l4->dest, port);
 */
#ifndef NF_CSUM_H
#define NF_CSUM_H

#include "nf.h"

/* Where the checksum stands in each header. */
#define TCP_CHECK 16
#define UDP_CHECK 6

struct l4_check {
	__u16 *at;
	_Bool is_udp;
};

ALWAYS_INLINE struct l4_check l4_check_of(struct xdp_md *ctx,
					  const struct iphdr *ip, void *l4)
{
	void *end = (void *)(long)ctx->data_end;
	struct l4_check check;

	check.is_udp = ip->protocol == IPPROTO_UDP;
	check.at = l4 + (check.is_udp ? UDP_CHECK : TCP_CHECK);
	if ((void *)(check.at + 1) > end)
		check.at = 0;
	return check;
}

ALWAYS_INLINE __u16 csum_fold(__u32 sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return ~sum;
}

/* The checksum after one 16-bit word changed. */
ALWAYS_INLINE __u16 csum_replace16(__u16 check, __u16 old, __u16 new)
{
	return csum_fold((__u32)(__u16)~check + (__u16)~old + new);
}

/* The checksum after two adjacent words changed. */
ALWAYS_INLINE __u16 csum_replace32(__u16 check, __u32 old, __u32 new)
{
	__u32 sum = (__u16)~check;

	sum += (__u16)~old + (__u16)new;
	sum += (__u16)~(old >> 16) + (new >> 16);
	return csum_fold(sum);
}

ALWAYS_INLINE int has_check(struct l4_check check)
{
	return !check.is_udp || *check.at != 0;
}

ALWAYS_INLINE __u16 as_written(struct l4_check check, __u16 sum)
{
	return check.is_udp && sum == 0 ? 0xffff : sum;
}

/* `field` is &ip->saddr or &ip->daddr. */
ALWAYS_INLINE void set_address(struct iphdr *ip, struct l4_check check,
			       __be32 *field, __be32 address)
{
	__be32 old = *field;

	ip->check = csum_replace32(ip->check, old, address);
	if (has_check(check))
		*check.at = as_written(check, csum_replace32(*check.at, old,
							     address));
	*field = address;
}

/* `field` is &l4->source or &l4->dest. */
ALWAYS_INLINE void set_port(struct l4_check check, __be16 *field, __be16 port)
{
	if (has_check(check))
		*check.at = as_written(check, csum_replace16(*check.at, *field,
							     port));
	*field = port;
}

#endif
