/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * Consistent lists of backends, without a table.
 *
 * Backend b has offset 31 b mod height and step 1 + (b mod (height - 1)); height is
 * prime. The lists are made by
 *
 *   for j < height, for b < backends: append b to list[(offset + step * j) mod height]
 *
 * so that each list has every backend once and each backend is early in as many
 * lists as any other. A packet takes the first live backend of list[hash mod height];
 * when one dies, only its own packets move.
 *
 * The same without lists: b stands in list[h] in turn
 *
 *   j = (h - offset) * inverse(step) mod height
 *
 * and the first live entry is the live b with the least j, the smaller b among equals.
 * The inverse is step^(height - 2) mod height (Fermat); a backend keeps its own.
 */
#ifndef NF_CONSISTENT_H
#define NF_CONSISTENT_H

#include "nf.h"

/* height is prime and below 65,536. */
ALWAYS_INLINE __u32 nf_inverse_step(__u32 backend, __u32 height)
{
	__u32 power = 1 + backend % (height - 1), inverse = 1, left, bit;

	left = height - 2;
	for (bit = 0; bit < 16; bit++) {
		if (left & 1)
			inverse = inverse * power % height;
		power = power * power % height;
		left >>= 1;
	}
	return inverse;
}

/* In which turn the backend stands in list[row]. */
ALWAYS_INLINE __u32 nf_turn(__u32 row, __u32 backend, __u32 inverse,
			    __u32 height)
{
	__u32 offset = 31 * backend % height;

	return (row + height - offset) % height * inverse % height;
}

#endif
