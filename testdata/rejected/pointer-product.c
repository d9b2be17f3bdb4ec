// testdata/rejected: a pointer is scaled like a number.
// says: pointer-product.c:10: r2 is a pointer; this arithmetic is not allowed on it (kernel: R2 pointer arithmetic with *= operator prohibited)
#include "rejected.h"

SEC("xdp")
int entry(struct xdp_md *ctx)
{
	void *packet = PACKET(ctx);

	asm volatile("%0 *= 2" : "+r"(packet));
	return packet > PACKET_END(ctx) ? XDP_DROP : XDP_PASS;
}
char _license[] SEC("license") = "GPL";
