// testdata/rejected: on one path a reserved record is neither submitted nor discarded.
// says: unreturned-record.c:21: a reserved record, reference or lock is not given back on some path (kernel: Unreleased reference id=2 alloc_insn=5)
#include "rejected.h"
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} events SEC(".maps");

SEC("xdp")
int entry(struct xdp_md *ctx)
{
	__u32 *record = bpf_ringbuf_reserve(&events, sizeof(*record), 0);

	if (!record)
		return XDP_ABORTED;
	*record = ctx->rx_queue_index;
	if (*record == 0)
		return XDP_DROP;
	bpf_ringbuf_submit(record, 0);
	return XDP_PASS;
}
char _license[] SEC("license") = "GPL";
