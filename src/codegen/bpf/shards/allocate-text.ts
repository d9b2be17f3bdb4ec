/**
 * `NAME_chain_allocate` for one core's range, as text: the library's function with
 * `base ≤ used < limit` in the place of `used < capacity`. The own head and range
 * stand in the frame (see allocator.ts), and every cell that is touched is the own
 * core's, so keys are taken as they are.
 *
 *   r6 now   r7 head   r8 cell   r9 its number
 *
 * Source: nf_chain.h (nf_allocate), src/nf/library/chain.ts (allocate).
 */
import { cellLayout, type ChainFacts } from "./chain-layout.ts";

/** The frame: a key of four bytes, and below it the own range. */
const keyAt = -8;
export const allocateRangeAt = -24;

const { last, next, previous, size } = cellLayout;

export function allocateText(array: string, facts: ChainFacts): string {
  const at = (key: string): string => `
    *(u32 *)(r10 + ${keyAt}) = ${key}
    r2 = r10
    r2 += ${keyAt}
    r1 = map ${array} ll
    call map_lookup_elem
    if r0 == 0 goto none`;
  return `
    r6 = r1
    r2 = r10
    r2 += ${allocateRangeAt + 8}
    r1 = map ${array} ll
    call map_lookup_elem
    if r0 == 0 goto none
    r7 = r0
    r9 = *(u64 *)(r7 + ${last})
    r1 = r9
    r1 >>= 32
    if r1 != 0 goto free
    r1 = *(u32 *)(r10 + ${allocateRangeAt})
    r1 -= 1
    if r9 >= r1 goto begun
    r9 = r1
  begun:
    r2 = *(u32 *)(r10 + ${allocateRangeAt + 4})
    r1 += r2
    if r9 >= r1 goto oldest
    r9 += 1
    ${at("r9")}
    r8 = r0
    *(u64 *)(r7 + ${last}) = r9
    goto append
  free:
    r8 = r9
    r8 <<= 32
    r8 >>= 32
    r9 = r1
    ${at("r9")}
    r1 = *(u32 *)(r0 + ${next})
    r1 <<= 32
    r1 |= r8
    *(u64 *)(r7 + ${last}) = r1
    r8 = r0
    goto append
  oldest:
    ${facts.evictsOldest || facts.expiry !== undefined ? reclaimed(facts, at) : "goto none"}
  append:
    r1 = *(u32 *)(r7 + ${previous})
    if r1 != 0 goto behind
    *(u32 *)(r7 + ${next}) = r9
    goto linked
  behind:
    ${at("r1")}
    *(u32 *)(r0 + ${next}) = r9
  linked:
    r1 = *(u32 *)(r7 + ${previous})
    *(u64 *)(r8 + ${last}) = r6
    *(u32 *)(r8 + ${next}) = 0
    *(u32 *)(r8 + ${previous}) = r1
    *(u32 *)(r7 + ${previous}) = r9
    r0 = r9
    exit
  none:
    r0 = 0
    exit`;
}

/** The oldest cell, if it may be taken, out of the list and its key out of the map. */
function reclaimed(
  { evictsOldest, expiry = 0n, entries, keyOffset = size }: ChainFacts,
  at: (key: string) => string,
): string {
  const tested = `
    r1 = ${expiry} ll
    if r6 < r1 goto none
    r2 = r6
    r2 -= r1
    r1 = *(u64 *)(r8 + ${last})
    if r1 >= r2 goto none`;
  const deleted = `
    r1 = map ${entries ?? ""} ll
    r2 = r8
    r2 += ${keyOffset}
    call map_delete_elem`;
  return `
    r9 = *(u32 *)(r7 + ${next})
    if r9 == 0 goto none
    ${at("r9")}
    r8 = r0
    ${evictsOldest ? "" : tested}
    r1 = *(u32 *)(r8 + ${next})
    *(u32 *)(r7 + ${next}) = r1
    if r1 == 0 goto alone
    ${at("r1")}
    *(u32 *)(r0 + ${previous}) = 0
    goto unlinked
  alone:
    *(u32 *)(r7 + ${previous}) = 0
  unlinked:
    ${entries === undefined ? "" : deleted}`;
}
