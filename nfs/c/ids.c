/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * ids: drops TCP and UDP packets whose payload has a listed pattern among its first
 * `depth` bytes (at most 128), and counts them by pattern.
 *
 * A pattern is up to 8 bytes, as one big-endian number: `length` bytes end at a place
 * of the payload where they are equal to `value` in the bits of `mask` ("attack" is
 * {0x61747461636b, 0xffffffffffff, 6}; a mask with gaps leaves bytes or cases open).
 * Length 0: no pattern. User space fills `signatures`, nobody writes it afterwards.
 *
 *   a pattern is found   the count of the first in the list: + 1; DROP
 *   else                 PASS, as does what is no whole, unfragmented TCP or UDP packet
 *
 * A payload ends with the frame: padding is searched too. A pattern that lies across
 * two packets, or in a fragment, is not found: nothing is reassembled.
 */
#include "nf.h"

#define SIGNATURES 8
#define MOST_DEPTH 128
/* Two headers of 60 bytes behind Ethernet fit; for the verifier. */
#define MOST_OFFSET 255

volatile const __u32 depth = 64;

struct signature {
	__u64 value;
	__u64 mask;
	__u32 length;
	__u32 zero;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, SIGNATURES);
	__type(key, __u32);
	__type(value, struct signature);
} signatures SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, SIGNATURES);
	__type(key, __u32);
	__type(value, __u64);
} matches SEC(".maps");

/*
 * Is the pattern in the payload that begins at `offset` of the frame? A function of
 * its own with one branch for each byte, so that the verifier forgets between two
 * patterns how far the last search came.
 */
NEVER_INLINE int is_found(struct xdp_md *ctx, __u32 offset, __u32 number)
{
	void *end = (void *)(long)ctx->data_end;
	__u8 *payload = (void *)(long)ctx->data + (offset & MOST_OFFSET);
	struct signature *signature;
	__u64 value, mask, spare, window = 0;
	__u32 at;

	signature = bpf_map_lookup_elem(&signatures, &number);
	if (!signature || signature->length == 0)
		return 0;
	value = signature->value;
	mask = signature->mask;
	/* Bytes read beyond the pattern's length; negative: too few. */
	spare = 0ULL - signature->length;
	for (at = 0; at < MOST_DEPTH; at++) {
		if (at >= depth || (void *)(payload + 1) > end)
			break;
		window = window << 8 | *payload;
		payload++;
		spare++;
		if (!(((window ^ value) & mask) | spare >> 63))
			return 1;
	}
	return 0;
}

SEC("xdp")
int ids(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data;
	struct iphdr *ip;
	__u32 number, at, offset;
	__u64 *count;
	void *l4;

	ip = parse_l3(ctx);
	if (!ip)
		return XDP_PASS;
	l4 = parse_l4(ctx, ip);
	if (!l4)
		return XDP_PASS;
	offset = payload_of(ctx, ip, l4) - data;

	for (number = 0; number < SIGNATURES; number++) {
		if (!is_found(ctx, offset, number))
			continue;
		at = number;
		count = bpf_map_lookup_elem(&matches, &at);
		if (count)
			__sync_fetch_and_add(count, 1);
		return XDP_DROP;
	}
	return XDP_PASS;
}

char _license[] SEC("license") = "GPL";
