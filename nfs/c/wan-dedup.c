/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * wan-dedup: the duplicate suppression of a WAN optimizer. A payload that the same
 * endpoints (addresses, ports, protocol) have sent within the last `expiry`
 * nanoseconds is dropped and counted; all else goes out by the other port.
 *
 * Payloads of 1 to 512 bytes take part, since all of their bytes are read: two
 * fingerprints of 32 bits and the length stand for them (that different payloads of
 * one flow are taken for equal has a chance of 2^-64, if nobody makes them). Of TCP
 * the sequence number belongs to the fingerprint, so that what is sent twice on
 * purpose passes and a segment that arrives twice does not.
 *
 *   seen within the window  count it, DROP. The window begins with the packet that
 *                           was let through: a sender that repeats itself gets one
 *                           through per window.
 *   new                     remember it (full: not), out(the other port)
 *   not L4, a fragment, an empty or longer payload: out(the other port)
 *
 * A payload ends with the frame: padding belongs to it.
 *
 * Not done, and refused as no work for a packet program: replacing payloads by
 * references that a box at the far side expands again. Both boxes would have to keep
 * the payloads themselves, which no map value of bounded size and no verifier-bounded
 * copy holds for a useful window, and a lost reference could not be expanded without
 * asking the sender, for which there is no packet of one's own.
 */
#define NF_PORTS
#include "nf.h"
#include "nf_chain.h"
#include "nf_hash.h"

#define MOST_WORDS 128

volatile const __u32 capacity = 65536;
/* Nanoseconds: 100 ms. */
volatile const __u64 expiry = 100000000ULL;

struct payload_key {
	__be32 source;
	__be32 destination;
	__be16 source_port;
	__be16 destination_port;
	__u8 protocol;
	__u8 zero[3];
	__u32 length;
	__u32 first;
	__u32 second;
};

struct payload {
	__u32 duplicates;
	__u32 index;
};

NF_EXPIRING_MAP(payloads, struct payload_key, struct payload, 65536, capacity,
		expiry);

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} dropped SEC(".maps");

/*
 * The second fingerprint's step shifts by another number: with the same one, a change
 * of a word's top bit and of bits 31 and 16 of the next would escape both.
 */
ALWAYS_INLINE __u32 other_word(__u32 hash, __u32 word)
{
	hash = (hash ^ word) * 0x85EBCA6BU;
	return hash ^ hash >> 13;
}

ALWAYS_INLINE void add_word(struct payload_key *key, __u32 word)
{
	key->first = nf_hash_word(key->first, word);
	key->second = other_word(key->second, word);
}

/* Both hashes over 32-bit words in network order, the rest byte by byte. */
ALWAYS_INLINE void add_payload(struct payload_key *key, void *at, void *end)
{
	__u32 count;

	for (count = 0; count < MOST_WORDS; count++) {
		if (at + 4 > end)
			break;
		add_word(key, bpf_ntohl(*(__be32 *)at));
		at += 4;
	}
	for (count = 0; count < 3; count++) {
		if (at + 1 > end)
			break;
		add_word(key, *(__u8 *)at);
		at += 1;
	}
	key->first = nf_hash_end(key->first);
	key->second = nf_hash_end(key->second);
}

/* 1: the payload was seen. */
ALWAYS_INLINE int is_duplicate(struct xdp_md *ctx)
{
	void *end = (void *)(long)ctx->data_end;
	struct payload_key key = { .first = 1, .second = 2 };
	struct payload first = {}, *seen;
	void *l4, *payload;
	struct iphdr *ip;
	__u64 *total, now;
	__u32 zero = 0;

	ip = parse_l3(ctx);
	if (!ip)
		return 0;
	l4 = parse_l4(ctx, ip);
	if (!l4)
		return 0;
	payload = payload_of(ctx, ip, l4);
	if (payload >= end || end - payload > 4 * MOST_WORDS)
		return 0;
	key.source = ip->saddr;
	key.destination = ip->daddr;
	key.source_port = ((struct l4hdr *)l4)->source;
	key.destination_port = ((struct l4hdr *)l4)->dest;
	key.protocol = ip->protocol;
	key.length = end - payload;
	if (ip->protocol == IPPROTO_TCP && l4 + TCP_SIZE <= end)
		add_word(&key, bpf_ntohl(*(__be32 *)(l4 + TCP_SEQ)));
	add_payload(&key, payload, end);

	now = bpf_ktime_get_ns();
	seen = payloads_get(&key, now);
	if (!seen) {
		payloads_insert(&key, &first, now);
		return 0;
	}
	seen->duplicates += 1;
	total = bpf_map_lookup_elem(&dropped, &zero);
	if (total)
		__sync_fetch_and_add(total, 1);
	return 1;
}

SEC("xdp")
int wan_dedup(struct xdp_md *ctx)
{
	__u32 ifindex = ctx->ingress_ifindex;

	if (ifindex != lan_ifindex && ifindex != wan_ifindex)
		return XDP_DROP;
	if (is_duplicate(ctx))
		return XDP_DROP;
	return out(ifindex == lan_ifindex ? WAN : LAN);
}

char _license[] SEC("license") = "GPL";
