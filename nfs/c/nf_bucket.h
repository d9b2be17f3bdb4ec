/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * Token bucket, to the byte and the nanosecond. `rate` in bytes per second, `burst`
 * in bytes; burst * 1e9 and burst * 1e9 + rate must fit 64 bits, rate is not 0.
 *
 *   nf_take   dt = now - last; tokens = min(burst, tokens + dt * rate / 1e9) if
 *             dt < burst * 1e9 / rate, else burst; last = now; true iff
 *             tokens > size (strict), which then costs size tokens
 *
 * A new bucket has burst - size tokens. One that nobody used for nf_full_after nanoseconds is as good as a new one.
 */
#ifndef NF_BUCKET_H
#define NF_BUCKET_H

#include "nf.h"

#define NF_SECOND 1000000000ULL

ALWAYS_INLINE __u64 nf_full_after(__u64 rate, __u64 burst)
{
	return burst * NF_SECOND / rate;
}

/* `tokens` and `last` are those of the bucket. */
ALWAYS_INLINE int nf_take(__u64 *tokens, __u64 *last, __u64 size, __u64 now,
			  __u64 rate, __u64 burst)
{
	__u64 elapsed = now - *last, have = burst;

	if (elapsed < nf_full_after(rate, burst)) {
		have = *tokens + elapsed * rate / NF_SECOND;
		if (have > burst)
			have = burst;
	}
	*last = now;
	if (have <= size) {
		*tokens = have;
		return 0;
	}
	*tokens = have - size;
	return 1;
}

#endif
