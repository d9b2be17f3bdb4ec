// testdata/rejected: a function whose result was never set.
// says: unwritten-register.c:8: r0 is read before anything was written to it (kernel: R0 !read_ok)
#include "rejected.h"

SEC("xdp")
__attribute__((naked)) int entry(struct xdp_md *ctx)
{
	asm volatile("exit");
}
char _license[] SEC("license") = "GPL";
