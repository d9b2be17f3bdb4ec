/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * Index allocator and expiring map ("chain"), one macro per instance.
 *
 *   NF_INDEX_ALLOCATOR(ids, 1024, capacity, expiry);
 *   NF_EXPIRING_MAP(flows, struct flow_key, struct flow, 65536, capacity, expiry);
 *
 * The last two arguments are expressions, evaluated at each use (read-only
 * variables, as a rule); the number before them is the size of the maps.
 *
 * Representation. An array of ENTRIES + 1 cells, in which zeros are an empty chain:
 *
 *   cell 0, the head    last      low half: cells ever used ("fresh");
 *                                 high half: first free cell, 0: none
 *                       next      oldest allocated cell, 0: none
 *                       previous  newest allocated cell, 0: none
 *   cell i + 1, index i  last      when it was allocated or refreshed
 *                       next, previous: the list from oldest to newest, a ring
 *                                 through the head
 *                       key       of an expiring map's entry
 *   a free cell         previous = 0xffffffff, last = 0, next: the next free one
 *
 * The list is in the order of arrival, which is that of `last` as long as time
 * does not run backwards. Everything is O(1).
 *
 * Law: an entry is expired iff last + EXPIRY < now. It is then a miss for every
 * look-up, and when no cell is free the oldest one, if expired, is reclaimed. An
 * observer of verdicts cannot tell this from deleting every expired entry before
 * each packet.
 *
 * NAME_chain_allocate, _refresh and _free are functions of their own (no inlining),
 * so that an analysis recognises an allocator by their names: it hands out indices
 * and promises nothing else about them.
 *
 * Not promised: anything when two CPUs use one chain at a time. Each core has its
 * own, or a lock stands around it.
 *
 * Index allocator: map NAME, and
 *   __u32 NAME_chain_allocate(now)          cell number (index + 1), 0: none
 *   void  NAME_chain_refresh(index, now)    nothing where it is not allocated
 *   void  NAME_chain_free(index)            nothing where it is not allocated
 *   int   NAME_chain_is_alive(index, now)   allocated and not expired
 *   __u32 NAME_chain_oldest_expired(now)    cell number, 0: none
 *
 * Expiring map: hash map NAME and chain NAME_chain. VALUE is a struct whose last
 * field is `__u32 index`, which the map keeps; padding is yours to zero.
 *   VALUE *NAME_get(&key, now)              0 where absent or expired; no refresh
 *   void   NAME_refresh(value, now)
 *   int    NAME_insert(&key, &value, now)   0: alive already, or full. The index of
 *                                           `value` is filled in, then it is copied
 *   int    NAME_delete(&key)                1: was there (alive or not)
 *   KEY   *NAME_key_at(index, now)          0: not allocated, or expired
 */
#ifndef NF_CHAIN_H
#define NF_CHAIN_H

#include <stddef.h>

#include "nf.h"

#define NF_FREE_CELL 0xffffffffU
#define MAYBE_UNUSED __attribute__((unused))

/* What every cell begins with; the key of an expiring map's entry follows. */
struct nf_cell {
	__u64 last;
	__u32 next;
	__u32 previous;
};

ALWAYS_INLINE struct nf_cell *nf_cell_at(void *chain, __u32 number)
{
	return bpf_map_lookup_elem(chain, &number);
}

ALWAYS_INLINE int nf_is_expired(const struct nf_cell *cell, __u64 expiry,
				__u64 now)
{
	return cell->last + expiry < now;
}

/* The cell of an allocated index, expired or not. */
ALWAYS_INLINE struct nf_cell *nf_allocated(void *chain, __u32 index)
{
	struct nf_cell *cell, *head = nf_cell_at(chain, 0);

	if (!head || index >= (__u32)head->last)
		return 0;
	cell = nf_cell_at(chain, index + 1);
	if (!cell || cell->previous == NF_FREE_CELL)
		return 0;
	return cell;
}

ALWAYS_INLINE struct nf_cell *nf_alive(void *chain, __u32 index, __u64 expiry,
				       __u64 now)
{
	struct nf_cell *cell = nf_allocated(chain, index);

	return cell && !nf_is_expired(cell, expiry, now) ? cell : 0;
}

ALWAYS_INLINE __u32 nf_oldest_expired(void *chain, __u64 expiry, __u64 now)
{
	struct nf_cell *cell, *head = nf_cell_at(chain, 0);

	if (!head || head->next == 0)
		return 0;
	cell = nf_cell_at(chain, head->next);
	return cell && nf_is_expired(cell, expiry, now) ? head->next : 0;
}

ALWAYS_INLINE void nf_unlink(void *chain, const struct nf_cell *cell)
{
	struct nf_cell *before = nf_cell_at(chain, cell->previous);
	struct nf_cell *after = nf_cell_at(chain, cell->next);

	if (!before || !after)
		return;
	before->next = cell->next;
	after->previous = cell->previous;
}

ALWAYS_INLINE void nf_append(void *chain, struct nf_cell *cell, __u32 number,
			     __u64 now)
{
	struct nf_cell *newest, *head = nf_cell_at(chain, 0);

	if (!head)
		return;
	newest = nf_cell_at(chain, head->previous);
	if (!newest)
		return;
	cell->last = now;
	cell->next = 0;
	cell->previous = head->previous;
	newest->next = number;
	head->previous = number;
}

/* `map`: where the key of a reclaimed cell is deleted; 0: nowhere. */
ALWAYS_INLINE __u32 nf_allocate(void *chain, void *map, __u32 capacity,
				__u64 expiry, __u64 now)
{
	struct nf_cell *cell, *head = nf_cell_at(chain, 0);
	__u32 number, fresh;

	if (!head)
		return 0;
	number = head->last >> 32;
	fresh = head->last;
	if (number != 0) {
		cell = nf_cell_at(chain, number);
		if (!cell)
			return 0;
		head->last = (__u64)cell->next << 32 | fresh;
	} else if (fresh < capacity) {
		number = fresh + 1;
		cell = nf_cell_at(chain, number);
		if (!cell)
			return 0;
		head->last = number;
	} else {
		number = head->next;
		if (number == 0)
			return 0;
		cell = nf_cell_at(chain, number);
		if (!cell || !nf_is_expired(cell, expiry, now))
			return 0;
		nf_unlink(chain, cell);
		if (map)
			bpf_map_delete_elem(map, cell + 1);
	}
	nf_append(chain, cell, number, now);
	return number;
}

ALWAYS_INLINE void nf_refresh(void *chain, __u32 index, __u64 now)
{
	struct nf_cell *cell = nf_allocated(chain, index);

	if (!cell)
		return;
	if (cell->next == 0) {
		cell->last = now;
		return;
	}
	nf_unlink(chain, cell);
	nf_append(chain, cell, index + 1, now);
}

ALWAYS_INLINE void nf_free(void *chain, __u32 index)
{
	struct nf_cell *cell = nf_allocated(chain, index);
	struct nf_cell *head = nf_cell_at(chain, 0);

	if (!cell || !head)
		return;
	nf_unlink(chain, cell);
	cell->last = 0;
	cell->next = head->last >> 32;
	cell->previous = NF_FREE_CELL;
	head->last = (__u64)(index + 1) << 32 | (__u32)head->last;
}

#define NF_CHAIN_ARRAY(ARRAY, CELL, ENTRIES)              \
	struct {                                          \
		__uint(type, BPF_MAP_TYPE_ARRAY);         \
		__uint(max_entries, (ENTRIES) + 1);       \
		__type(key, __u32);                       \
		__type(value, CELL);                      \
	} ARRAY SEC(".maps")

/* The functions of a chain NAME whose cells are in ARRAY. */
#define NF_CHAIN(NAME, ARRAY, MAP, CAPACITY, EXPIRY)                           \
	NEVER_INLINE __u32 NAME##_chain_allocate(__u64 now)                    \
	{                                                                      \
		return nf_allocate(&ARRAY, MAP, CAPACITY, EXPIRY, now);        \
	}                                                                      \
	NEVER_INLINE void NAME##_chain_refresh(__u32 index, __u64 now)         \
	{                                                                      \
		nf_refresh(&ARRAY, index, now);                                \
	}                                                                      \
	NEVER_INLINE void NAME##_chain_free(__u32 index)                       \
	{                                                                      \
		nf_free(&ARRAY, index);                                        \
	}                                                                      \
	ALWAYS_INLINE MAYBE_UNUSED int NAME##_chain_is_alive(__u32 index,      \
							     __u64 now)        \
	{                                                                      \
		return nf_alive(&ARRAY, index, EXPIRY, now) != 0;              \
	}                                                                      \
	ALWAYS_INLINE MAYBE_UNUSED __u32 NAME##_chain_oldest_expired(          \
		__u64 now)                                                     \
	{                                                                      \
		return nf_oldest_expired(&ARRAY, EXPIRY, now);                 \
	}                                                                      \
	_Static_assert(1, "takes the semicolon")

#define NF_INDEX_ALLOCATOR(NAME, ENTRIES, CAPACITY, EXPIRY) \
	NF_CHAIN_ARRAY(NAME, struct nf_cell, ENTRIES);      \
	NF_CHAIN(NAME, NAME, 0, CAPACITY, EXPIRY)

#define NF_EXPIRING_MAP(NAME, KEY, VALUE, ENTRIES, CAPACITY, EXPIRY)           \
	struct NAME##_cell {                                                   \
		__u64 last;                                                    \
		__u32 next;                                                    \
		__u32 previous;                                                \
		KEY key;                                                       \
	};                                                                     \
	_Static_assert(offsetof(struct NAME##_cell, key) ==                    \
			       sizeof(struct nf_cell),                         \
		       "the key follows the links");                           \
	struct {                                                               \
		__uint(type, BPF_MAP_TYPE_HASH);                               \
		__uint(max_entries, ENTRIES);                                  \
		__type(key, KEY);                                              \
		__type(value, VALUE);                                          \
	} NAME SEC(".maps");                                                   \
	NF_CHAIN_ARRAY(NAME##_chain, struct NAME##_cell, ENTRIES);             \
	NF_CHAIN(NAME, NAME##_chain, &NAME, CAPACITY, EXPIRY);                 \
                                                                               \
	ALWAYS_INLINE MAYBE_UNUSED VALUE *NAME##_get(const KEY *key,           \
						     __u64 now)                \
	{                                                                      \
		VALUE *value = bpf_map_lookup_elem(&NAME, key);                \
                                                                               \
		if (!value || !NAME##_chain_is_alive(value->index, now))       \
			return 0;                                              \
		return value;                                                  \
	}                                                                      \
	ALWAYS_INLINE MAYBE_UNUSED void NAME##_refresh(const VALUE *value,     \
						       __u64 now)              \
	{                                                                      \
		NAME##_chain_refresh(value->index, now);                       \
	}                                                                      \
	ALWAYS_INLINE MAYBE_UNUSED int NAME##_insert(                          \
		const KEY *key, VALUE *value, __u64 now)                       \
	{                                                                      \
		VALUE *there = bpf_map_lookup_elem(&NAME, key);                \
		struct NAME##_cell *cell;                                      \
		__u32 number;                                                  \
                                                                               \
		if (there) {                                                   \
			if (NAME##_chain_is_alive(there->index, now))          \
				return 0;                                      \
			value->index = there->index;                           \
			*there = *value;                                       \
			NAME##_chain_refresh(value->index, now);               \
			return 1;                                              \
		}                                                              \
		number = NAME##_chain_allocate(now);                           \
		if (number == 0)                                               \
			return 0;                                              \
		cell = bpf_map_lookup_elem(&NAME##_chain, &number);            \
		if (!cell)                                                     \
			return 0;                                              \
		cell->key = *key;                                              \
		value->index = number - 1;                                     \
		if (bpf_map_update_elem(&NAME, key, value, BPF_ANY)) {         \
			NAME##_chain_free(value->index);                       \
			return 0;                                              \
		}                                                              \
		return 1;                                                      \
	}                                                                      \
	ALWAYS_INLINE MAYBE_UNUSED int NAME##_delete(const KEY *key)           \
	{                                                                      \
		const VALUE *value = bpf_map_lookup_elem(&NAME, key);          \
                                                                               \
		if (!value)                                                    \
			return 0;                                              \
		NAME##_chain_free(value->index);                               \
		return bpf_map_delete_elem(&NAME, key) == 0;                   \
	}                                                                      \
	ALWAYS_INLINE MAYBE_UNUSED KEY *NAME##_key_at(__u32 index, __u64 now)  \
	{                                                                      \
		struct nf_cell *cell =                                         \
			nf_alive(&NAME##_chain, index, EXPIRY, now);           \
                                                                               \
		return cell ? (KEY *)(cell + 1) : 0;                           \
	}                                                                      \
	_Static_assert(1, "takes the semicolon")

#endif
