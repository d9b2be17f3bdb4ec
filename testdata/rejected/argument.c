// testdata/rejected: a number where a helper wants a key.
// says: argument.c:9: argument r2 is a number, but must be a pointer to readable memory (kernel: R2 type=scalar expected=fp, pkt, pkt_meta, map_key, map_value, mem, ringbuf_mem, buf, trusted_ptr_)
#include "rejected.h"
MAP(counts, HASH, 16, __u64);

SEC("xdp")
int entry(struct xdp_md *ctx)
{
	return bpf_map_lookup_elem(&counts, (void *)7L) ? XDP_DROP : XDP_PASS;
}
char _license[] SEC("license") = "GPL";
