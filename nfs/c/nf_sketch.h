/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * Count-min sketch: ROWS rows of columns; a key has one cell per row, the one at
 * NF_HASH(key, row + 1) % columns. The least of a key's counts is never below what
 * was added for it; other keys in the same cells make it larger.
 *
 * Cells stand row by row in one array, so that rows never share a cell:
 * cell (row, column) is at row * columns + column.
 *
 *   NF_SKETCH(clients, struct cell, 4, 65536, columns);
 *       array `clients` of 4 * 65,536 cells, and
 *       struct cell *clients_cell(row, hash)        hash = NF_HASH(key, row + 1)
 *
 *   NF_COUNT_MIN(bytes, 4, 1024, columns);
 *       cells are __u64, and
 *       __u64 NF_LEAST(bytes, 4, key)               the estimate
 *       void  NF_ADD(bytes, 4, key, n)              to each row
 *
 * The last argument is an expression, at most the number before it.
 */
#ifndef NF_SKETCH_H
#define NF_SKETCH_H

#include "nf_hash.h"

#define NF_SKETCH(NAME, CELL, ROWS, MOST_COLUMNS, COLUMNS)                \
	struct {                                                          \
		__uint(type, BPF_MAP_TYPE_ARRAY);                         \
		__uint(max_entries, (ROWS) * (MOST_COLUMNS));             \
		__type(key, __u32);                                       \
		__type(value, CELL);                                      \
	} NAME SEC(".maps");                                              \
                                                                          \
	ALWAYS_INLINE CELL *NAME##_cell(__u32 row, __u32 hash)            \
	{                                                                 \
		__u32 columns = (COLUMNS);                                \
		__u32 at = row * columns + hash % columns;                \
                                                                          \
		return bpf_map_lookup_elem(&NAME, &at);                   \
	}                                                                 \
	_Static_assert(1, "takes the semicolon")

#define NF_COUNT_MIN(NAME, ROWS, MOST_COLUMNS, COLUMNS)                   \
	NF_SKETCH(NAME, __u64, ROWS, MOST_COLUMNS, COLUMNS)

#define NF_ADD(NAME, ROWS, KEY, COUNT)                                    \
	do {                                                              \
		_Pragma("unroll") for (__u32 row = 0; row < (ROWS); row++) { \
			__u64 *cell =                                     \
				NAME##_cell(row, NF_HASH(KEY, row + 1));  \
                                                                          \
			if (cell)                                         \
				*cell += (COUNT);                         \
		}                                                         \
	} while (0)

#define NF_LEAST(NAME, ROWS, KEY)                                         \
	({                                                                \
		__u64 least = ~0ULL;                                      \
                                                                          \
		_Pragma("unroll") for (__u32 row = 0; row < (ROWS); row++) { \
			__u64 *cell =                                     \
				NAME##_cell(row, NF_HASH(KEY, row + 1));  \
                                                                          \
			if (cell && *cell < least)                        \
				least = *cell;                            \
		}                                                         \
		least;                                                    \
	})

#endif
