// testdata/rejected: a loop that ends, long after the verifier's patience.
// says: too complex: 1000001 instructions were walked; at most 1,000,000 are allowed (kernel: BPF program is too large. Processed 1000001 insn)
#include "rejected.h"

SEC("xdp")
int entry(struct xdp_md *ctx)
{
	for (int i = 0; i < 4000000; i++)
		asm volatile("" : "+r"(i));
	return XDP_PASS;
}
char _license[] SEC("license") = "GPL";
