// testdata/rejected: a value is taken for one that is larger.
// says: value-bounds.c:15: 8 bytes at offset 8 leave the map value of 8 bytes (kernel: invalid access to map value, value_size=8 off=8 size=8)
#include "rejected.h"
struct large { __u64 first, second; };
MAP(small, ARRAY, 1, __u64);

SEC("xdp")
int entry(struct xdp_md *ctx)
{
	__u32 key = 0;
	struct large *value = bpf_map_lookup_elem(&small, &key);

	if (!value)
		return XDP_ABORTED;
	return value->second ? XDP_DROP : XDP_PASS;
}
char _license[] SEC("license") = "GPL";
