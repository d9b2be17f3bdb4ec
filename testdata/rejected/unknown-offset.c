// testdata/rejected: an index that nothing bounds.
// says: unknown-offset.c:15: the offset in r0 has no known bounds (kernel: R0 unbounded memory access, make sure to bounds check any such access)
#include "rejected.h"
struct row { __u8 cells[64]; };
MAP(rows, ARRAY, 1, struct row);

SEC("xdp")
int entry(struct xdp_md *ctx)
{
	__u32 key = 0;
	struct row *row = bpf_map_lookup_elem(&rows, &key);

	if (!row)
		return XDP_ABORTED;
	return row->cells[ctx->rx_queue_index] ? XDP_DROP : XDP_PASS;
}
char _license[] SEC("license") = "GPL";
