// testdata/rejected: two functions that need more stack together than there is.
// says: 2 nested calls need 640 bytes of stack; at most 512 are allowed (kernel: combined stack size of 2 calls is 640. Too large)
#include "rejected.h"

static __attribute__((noinline)) int inner(struct xdp_md *ctx)
{
	volatile __u64 cells[40];

	for (int i = 0; i < 40; i++)
		cells[i] = ctx->rx_queue_index;
	return cells[ctx->rx_queue_index & 15] != 0;
}

SEC("xdp")
int entry(struct xdp_md *ctx)
{
	volatile __u64 cells[40];

	for (int i = 0; i < 40; i++)
		cells[i] = ctx->ingress_ifindex;
	return inner(ctx) + cells[ctx->rx_queue_index & 15] ? XDP_DROP : XDP_PASS;
}
char _license[] SEC("license") = "GPL";
