// testdata/rejected: a lookup's result is used as if the key were always there.
// says: null-check.c:12: r0 may be null: it is used without a null check (kernel: R0 invalid mem access 'map_value_or_null')
#include "rejected.h"
MAP(counts, HASH, 16, __u64);

SEC("xdp")
int entry(struct xdp_md *ctx)
{
	__u32 key = ctx->ingress_ifindex;
	__u64 *count = bpf_map_lookup_elem(&counts, &key);

	*count += 1;
	return XDP_PASS;
}
char _license[] SEC("license") = "GPL";
