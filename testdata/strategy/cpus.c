/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* cpus: per-CPU state in four kinds, and a way out for records */
#include "case.h"

MAP(by_hand, ARRAY, __u32, __u64, 64);
MAP(per_cpu, PERCPU_ARRAY, __u32, __u64, 1);
MAP(events, PERF_EVENT_ARRAY, __u32, __u32, 64);
__u64 counted;

SEC("xdp")
int cpus(struct xdp_md *ctx)
{
	__u32 cpu = bpf_get_smp_processor_id(), zero = 0;
	__u64 *n;

	n = bpf_map_lookup_elem(&by_hand, &cpu);
	if (n)
		*n += 1;
	n = bpf_map_lookup_elem(&per_cpu, &zero);
	if (n)
		*n += 1;
	bpf_perf_event_output(ctx, &events, BPF_F_CURRENT_CPU, &cpu, 4);
	__sync_fetch_and_add(&counted, 1);
	return XDP_PASS;
}
