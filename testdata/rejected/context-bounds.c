// testdata/rejected: the context is read past its end.
// says: context-bounds.c:10: the context has no 4 bytes at offset 60 for this program type (kernel: invalid bpf_context access off=60 size=4)
#include "rejected.h"

SEC("xdp")
int entry(struct xdp_md *ctx)
{
	__u32 *words = (__u32 *)ctx;

	return words[15] ? XDP_DROP : XDP_PASS;
}
char _license[] SEC("license") = "GPL";
