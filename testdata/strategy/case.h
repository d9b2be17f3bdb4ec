/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* What the cases of this folder share: maps in one line, the frame's ends. */
#define NF_PORTS
#include "nf.h"

#define MAP(NAME, TYPE, KEY, VALUE, ENTRIES)                    \
	struct {                                                \
		__uint(type, BPF_MAP_TYPE_##TYPE);              \
		__uint(max_entries, ENTRIES);                   \
		__type(key, KEY);                               \
		__type(value, VALUE);                           \
	} NAME SEC(".maps")

#define DATA ((void *)(long)ctx->data)
#define END ((void *)(long)ctx->data_end)

/* Counts under `key` and answers the count before. */
#define COUNT(MAP, KEY)                                         \
	({                                                      \
		__u64 one = 1, before = 0;                      \
		__u64 *n = bpf_map_lookup_elem(&MAP, KEY);      \
		if (n)                                          \
			before = (*n)++;                        \
		else                                            \
			bpf_map_update_elem(&MAP, KEY, &one, 0); \
		before;                                         \
	})

char _license[] SEC("license") = "GPL";
