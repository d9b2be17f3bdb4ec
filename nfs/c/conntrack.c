/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * conntrack: the states of TCP connections; a packet that a connection does not
 * expect is INVALID.
 *
 * L4: what is no whole TCP or UDP packet, fragments included: DROP. UDP has no state.
 * RST changes nothing.
 *
 * The two ends stand in the key by address, with its port; equal addresses by port.
 * `address_reversed` and `port_reversed`: the creator's source is the second end. A
 * packet goes forward (F) if both bits are the creator's, in reverse (R) if both
 * differ; otherwise, which happens between equal addresses, it is a miss.
 *
 *   miss         = SYN         -> SYN_SENT, 120 s, sequence = SEQ + 1
 *   SYN_SENT     F = SYN       -> ttl 120 s; else INVALID
 *                R = SYN|ACK and ACKNO = sequence -> SYN_RECV, 60 s, sequence = SEQ + 1;
 *                              else INVALID
 *   SYN_RECV     F = ACK and ACKNO = sequence -> ESTABLISHED, 432000 s; else INVALID
 *                R = SYN|ACK and ACKNO = sequence -> ttl 60 s; else INVALID
 *   ESTABLISHED  FIN -> FIN_WAIT_1, 120 s, sequence = ACKNO; else ttl 432000 s
 *   FIN_WAIT_1   R ACK and SEQ = sequence -> FIN_WAIT_2, 120 s, and on in that row;
 *                              else INVALID
 *   FIN_WAIT_2   R FIN -> LAST_ACK, 30 s, sequence = ACKNO; else ttl 120 s
 *   LAST_ACK     ACK and SEQ = sequence -> closed: deleted; else ttl 30 s
 *
 * "= X": the flags are X and no others. Times go to `ttl`, which nothing enforces.
 * SEQ + 1 adds to the last byte without carry (as the reference does), so that an
 * acknowledgement across a multiple of 256 is not recognised.
 *
 * INVALID: DROP, all else PASS. enforce=false: the same states, and every packet goes
 * back (bounce). Full table: the connection stays unknown.
 */
#define NF_ENFORCE
#include "nf.h"

#define SECOND 1000000000ULL

#define SYN_SENT 1
#define SYN_RECV 2
#define ESTABLISHED 3
#define FIN_WAIT_1 4
#define FIN_WAIT_2 5
#define LAST_ACK 6
/* Never stored: the connection is deleted. */
#define CLOSED 7


struct ends {
	__be32 first;
	__be32 second;
	__be16 first_port;
	__be16 second_port;
	__u8 protocol;
	__u8 zero[3];
};

struct connection {
	__u64 ttl;
	__u8 state;
	__u8 address_reversed;
	__u8 port_reversed;
	__u8 zero;
	__be32 sequence;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__type(key, struct ends);
	__type(value, struct connection);
} connections SEC(".maps");

struct segment {
	__u8 flags;
	__u8 address_reversed;
	__u8 port_reversed;
	__be32 sequence;
	__be32 acknowledged;
	__u64 now;
};

ALWAYS_INLINE struct ends ends_of(const struct iphdr *ip,
				  const struct l4hdr *l4,
				  struct segment *segment)
{
	__u32 source = bpf_ntohl(ip->saddr), destination = bpf_ntohl(ip->daddr);
	__u16 from = bpf_ntohs(l4->source), to = bpf_ntohs(l4->dest);
	struct ends ends = { .protocol = ip->protocol };

	segment->address_reversed = source > destination;
	segment->port_reversed =
		source == destination ? from > to : source > destination;
	ends.first = segment->address_reversed ? ip->daddr : ip->saddr;
	ends.second = segment->address_reversed ? ip->saddr : ip->daddr;
	ends.first_port = segment->port_reversed ? l4->dest : l4->source;
	ends.second_port = segment->port_reversed ? l4->source : l4->dest;
	return ends;
}

ALWAYS_INLINE __be32 next_sequence(__be32 sequence)
{
	return sequence + bpf_htonl(1);
}

ALWAYS_INLINE void enter(struct connection *connection, __u8 state,
			 __u64 seconds, __u64 now)
{
	connection->state = state;
	connection->ttl = now + seconds * SECOND;
}

/* Both ends agreed to begin: SYN_SENT and SYN_RECV. Is the packet as expected? */
ALWAYS_INLINE int open(struct connection *connection, int is_forward,
		       const struct segment *segment)
{
	__u8 flags = segment->flags;
	__u64 now = segment->now;
	int is_answer = segment->acknowledged == connection->sequence;

	if (connection->state == SYN_SENT) {
		if (is_forward) {
			if (flags != TCP_SYN)
				return 0;
			enter(connection, SYN_SENT, 120, now);
			return 1;
		}
		if (flags != (TCP_SYN | TCP_ACK) || !is_answer)
			return 0;
		enter(connection, SYN_RECV, 60, now);
		connection->sequence = next_sequence(segment->sequence);
		return 1;
	}
	if (is_forward) {
		if (flags != TCP_ACK || !is_answer)
			return 0;
		enter(connection, ESTABLISHED, 432000, now);
		return 1;
	}
	if (flags != (TCP_SYN | TCP_ACK) || !is_answer)
		return 0;
	enter(connection, SYN_RECV, 60, now);
	return 1;
}

/* ESTABLISHED and after. Is the packet as expected? */
ALWAYS_INLINE int close(struct connection *connection, int is_forward,
			const struct segment *segment)
{
	int is_next = segment->flags & TCP_ACK &&
		      segment->sequence == connection->sequence;
	int is_fin = segment->flags & TCP_FIN;
	__u64 now = segment->now;

	if (connection->state == ESTABLISHED) {
		if (is_fin) {
			enter(connection, FIN_WAIT_1, 120, now);
			connection->sequence = segment->acknowledged;
		} else {
			enter(connection, ESTABLISHED, 432000, now);
		}
		return 1;
	}
	if (connection->state == LAST_ACK) {
		enter(connection, is_next ? CLOSED : LAST_ACK, 30, now);
		return 1;
	}
	if (is_forward)
		return 1;
	if (connection->state == FIN_WAIT_1 && !is_next)
		return 0;
	if (is_fin) {
		enter(connection, LAST_ACK, 30, now);
		connection->sequence = segment->acknowledged;
	} else {
		enter(connection, FIN_WAIT_2, 120, now);
	}
	return 1;
}

ALWAYS_INLINE int track(const struct ends *ends, const struct segment *segment)
{
	struct connection *connection = bpf_map_lookup_elem(&connections, ends);
	struct connection first = {
		.state = SYN_SENT,
		.address_reversed = segment->address_reversed,
		.port_reversed = segment->port_reversed,
		.ttl = segment->now + 120 * SECOND,
		.sequence = next_sequence(segment->sequence),
	};
	int is_same_address, is_same_port, is_expected;

	if (connection) {
		is_same_address = connection->address_reversed ==
				  segment->address_reversed;
		is_same_port =
			connection->port_reversed == segment->port_reversed;
		if (is_same_address == is_same_port) {
			if (connection->state <= SYN_RECV)
				is_expected = open(connection, is_same_address,
						   segment);
			else
				is_expected = close(connection, is_same_address,
						    segment);
			if (connection->state == CLOSED)
				bpf_map_delete_elem(&connections, ends);
			return is_expected ? XDP_PASS : XDP_DROP;
		}
	}
	if (segment->flags == TCP_SYN)
		bpf_map_update_elem(&connections, ends, &first, BPF_ANY);
	return XDP_PASS;
}

SEC("xdp")
int conntrack(struct xdp_md *ctx)
{
	void *end = (void *)(long)ctx->data_end;
	struct segment segment;
	struct l4hdr *l4;
	struct iphdr *ip;
	struct ends ends;

	ip = parse_l3(ctx);
	if (!ip)
		return XDP_DROP;
	l4 = parse_l4(ctx, ip);
	if (!l4)
		return XDP_DROP;
	if (ip->protocol == IPPROTO_UDP)
		return finish(ctx, XDP_PASS);
	if ((void *)l4 + TCP_SIZE > end)
		return XDP_DROP;
	segment.flags = ((__u8 *)l4)[TCP_FLAGS];
	if (segment.flags & TCP_RST)
		return finish(ctx, XDP_PASS);
	segment.sequence = *(__be32 *)((void *)l4 + TCP_SEQ);
	segment.acknowledged = *(__be32 *)((void *)l4 + TCP_ACKNO);
	segment.now = bpf_ktime_get_ns();
	ends = ends_of(ip, l4, &segment);
	return finish(ctx, track(&ends, &segment));
}

char _license[] SEC("license") = "GPL";
