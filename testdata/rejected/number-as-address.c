// testdata/rejected: a number from the packet's context is used as an address.
// says: number-as-address.c:10: r1 is used as an address, but is a number (kernel: R1 invalid mem access 'scalar')
#include "rejected.h"

SEC("xdp")
int entry(struct xdp_md *ctx)
{
	__u32 *somewhere = (void *)(long)ctx->ingress_ifindex;

	return *somewhere ? XDP_DROP : XDP_PASS;
}
char _license[] SEC("license") = "GPL";
