// testdata/rejected: packets are redirected through a map of counters.
// says: map-of-other-type.c:9: helper redirect_map does not work on this map's type (kernel: cannot pass map_type 1 into func bpf_redirect_map#51)
#include "rejected.h"
MAP(counts, HASH, 16, __u32);

SEC("xdp")
int entry(struct xdp_md *ctx)
{
	return bpf_redirect_map(&counts, ctx->rx_queue_index, 0);
}
char _license[] SEC("license") = "GPL";
