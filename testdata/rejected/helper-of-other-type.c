// testdata/rejected: a helper for socket buffers in an XDP program.
// says: helper-of-other-type.c:10: helper skb_load_bytes does not exist for this program type (kernel: program of this type cannot use helper bpf_skb_load_bytes#26)
#include "rejected.h"

SEC("xdp")
int entry(struct xdp_md *ctx)
{
	__u32 word = 0;

	bpf_skb_load_bytes((void *)ctx, 0, &word, sizeof(word));
	return word ? XDP_DROP : XDP_PASS;
}
char _license[] SEC("license") = "GPL";
