// testdata/rejected: a helper for GPL programs in one that is not.
// says: licence.c:8: a helper needs a GPL-compatible licence (kernel: cannot call GPL-restricted function from non-GPL compatible program)
#include "rejected.h"

SEC("xdp")
int entry(struct xdp_md *ctx)
{
	bpf_printk("packet on %d", ctx->ingress_ifindex);
	return XDP_PASS;
}
char _license[] SEC("license") = "Proprietary";
