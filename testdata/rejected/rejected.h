/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* What the rejected programs beside this file have in common. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#define MAP(NAME, TYPE, ENTRIES, VALUE)                                        \
	struct {                                                               \
		__uint(type, BPF_MAP_TYPE_##TYPE);                             \
		__uint(max_entries, ENTRIES);                                  \
		__type(key, __u32);                                            \
		__type(value, VALUE);                                          \
	} NAME SEC(".maps")

#define PACKET(CTX) ((void *)(long)(CTX)->data)
#define PACKET_END(CTX) ((void *)(long)(CTX)->data_end)
