// testdata/rejected: a loop that ends only if the context changes, and it does not.
// says: endless-loop.c:10: a loop whose end the verifier cannot see (kernel: infinite loop detected at insn 0)
#include "rejected.h"

SEC("xdp")
int entry(struct xdp_md *ctx)
{
	volatile struct xdp_md *again = ctx;

	while (again->rx_queue_index != 7)
		;
	return XDP_PASS;
}
char _license[] SEC("license") = "GPL";
