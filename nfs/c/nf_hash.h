/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * The hash of keys: the bytes of a key as little-endian 32-bit words, the last one
 * filled up with zeros.
 *
 *   h = seed;  for each word:  h = (h ^ word) * 0x9E3779B1;  h ^= h >> 15
 *   finally    h *= 0x85EBCA6B;  h ^= h >> 13
 *
 * Spreads keys over columns and lists; an adversary who knows it can collide it.
 *
 *   __u32 column = NF_HASH(key, 1) % columns;
 *
 * The size of the key is a constant of the compiler, so the loop is unrolled. Its
 * padding must be zero.
 */
#ifndef NF_HASH_H
#define NF_HASH_H

#include "nf.h"

/* A word more; and the end. */
ALWAYS_INLINE __u32 nf_hash_word(__u32 hash, __u32 word)
{
	hash = (hash ^ word) * 0x9E3779B1U;
	return hash ^ hash >> 15;
}

ALWAYS_INLINE __u32 nf_hash_end(__u32 hash)
{
	hash *= 0x85EBCA6BU;
	return hash ^ hash >> 13;
}

ALWAYS_INLINE __u32 nf_to_little(__u32 word)
{
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
	return __builtin_bswap32(word);
#else
	return word;
#endif
}

/* `key` is an object (no pointer to one) of at most 64 bytes. */
#define NF_HASH(key, seed)                                                \
	({                                                                \
		__u32 words[(sizeof(key) + 3) / 4] = {}, hash = (seed);   \
		__u32 at;                                                 \
                                                                          \
		__builtin_memcpy(words, &(key), sizeof(key));             \
		_Pragma("unroll") for (at = 0;                            \
				       at < sizeof(words) / 4; at++)      \
			hash = nf_hash_word(hash, nf_to_little(words[at])); \
		nf_hash_end(hash);                                        \
	})

#endif
