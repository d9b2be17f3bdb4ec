/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * ddos-mitigator: drops IPv4 packets of listed sources and counts them.
 *
 * User space preloads `sources` with the addresses to drop (value 0); the
 * program inserts nothing. A hit adds 1 to the source's count and, unless the IP
 * protocol is 0, to the global count in `dropped`; then DROP. A miss, and any
 * frame that is not IPv4 (L3), passes. There is no L4 check.
 *
 * enforce=false: the same counts, and every frame goes back (bounce).
 *
 * A source's count is read, added to and written back; the global count is an
 * atomic add whose old value nobody reads, so copies of it may be summed.
 */
#define NF_ENFORCE
#include "nf.h"

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, __be32);
	__type(value, __u64);
} sources SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} dropped SEC(".maps");

SEC("xdp")
int ddos_mitigator(struct xdp_md *ctx)
{
	struct iphdr *ip = parse_l3(ctx);
	__u64 *hits, *total;
	__u32 zero = 0;
	__be32 source;

	if (!ip)
		return finish(ctx, XDP_PASS);
	source = ip->saddr;
	hits = bpf_map_lookup_elem(&sources, &source);
	if (!hits)
		return finish(ctx, XDP_PASS);
	*hits += 1;
	if (ip->protocol != 0) {
		total = bpf_map_lookup_elem(&dropped, &zero);
		if (total)
			__sync_fetch_and_add(total, 1);
	}
	return finish(ctx, XDP_DROP);
}

char _license[] SEC("license") = "GPL";
