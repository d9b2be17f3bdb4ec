/**
 * An index allocator (a "chain") as the check sees it: which indices are in use, and a
 * first state in which the sequential program hands out the indices of one range only.
 *
 * Representation (nfs/c/nf_chain.h): an array; cell 0 is the head {fresh u32, free u32,
 * oldest u32, newest u32}, cell i + 1 belongs to index i {last u64, next u32, previous
 * u32, key}. A free cell has previous = 0xffffffff and the next free one in `next`.
 *
 * A range needs no other program: in the first state of `rangeContents` all cells count
 * as used once and given back, and those of the range are the free list. What the
 * program hands out is then the free list's, and after that what is expired.
 */
import type { State } from "../interp/index.ts";
import type { MapContents } from "./record.ts";

export interface AllocatorCheck {
  /** Name of the array of cells. */
  readonly chain: string;
  readonly cellSize: number;
  /** Entries of that many cells at most, whatever the array's size. */
  readonly capacity: number;
  /** The hash map whose values hold the index, a u32. */
  readonly entries?: string;
  /** Where in a cell the entry's key is. */
  readonly keyOffset?: number;
  readonly expiry?: bigint;
  /** Its functions: what they touch belongs to nobody's key. */
  readonly allocate: string;
  readonly functions: readonly string[];
  /** First index and number of indices, by core. */
  readonly ranges: readonly IndexRange[];
  /** Arrays whose cell i goes with index i. */
  readonly followers: readonly string[];
}

export interface IndexRange {
  readonly base: number;
  readonly count: number;
}

/** The first `cores` ranges of a capacity, the remainder spread over the first. */
export function rangesOf(shares: readonly number[]): readonly IndexRange[] {
  let base = 0;
  return shares.map((count) => {
    const range = { base, count };
    base += count;
    return range;
  });
}

const freeCell = 0xffff_ffff;

export function cellKey(number: number): Uint8Array {
  return new Uint8Array(Uint32Array.of(number).buffer);
}

/** A key for look-ups alone, which nobody keeps. */
const scratch = new Uint32Array(1);
const scratchBytes = new Uint8Array(scratch.buffer);

/** First contents of the chain on one core; see the file header. */
export function rangeContents(
  { cellSize, capacity }: AllocatorCheck,
  { base, count }: IndexRange,
): MapContents[string] {
  const entries: { key: Uint8Array; value: Uint8Array }[] = [];
  const put = (number: number, words: readonly number[]): void => {
    const value = new Uint8Array(cellSize);
    const view = new DataView(value.buffer);
    for (const [at, word] of words.entries())
      view.setUint32(4 * at, word, true);
    entries.push({ key: cellKey(number), value });
  };
  put(0, [capacity, count === 0 ? 0 : base + 1, 0, 0]);
  for (let index = 0; index < capacity; index++) {
    const isOwn = index >= base && index + 1 < base + count;
    put(index + 1, [0, 0, isOwn ? index + 2 : 0, freeCell]);
  }
  return entries;
}

/** One index in use: when it was last refreshed, and the key in its cell. */
export interface Held {
  readonly index: number;
  readonly last: bigint;
  readonly key: Uint8Array;
}

/** Index `index` of `state`'s chain, if it is allocated; expired or not. */
export function heldAt(
  state: State,
  { chain, keyOffset }: AllocatorCheck,
  index: number,
): Held | undefined {
  scratch[0] = 0;
  const head = state.lookup(chain, scratchBytes);
  if (head === undefined) return undefined;
  if (index >= new DataView(head.buffer, head.byteOffset).getUint32(0, true))
    return undefined;
  scratch[0] = index + 1;
  const cell = state.lookup(chain, scratchBytes);
  if (cell === undefined) return undefined;
  const view = new DataView(cell.buffer, cell.byteOffset);
  if (view.getUint32(12, true) === freeCell) return undefined;
  return {
    index,
    last: view.getBigUint64(0, true),
    key: cell.subarray(keyOffset ?? cell.length),
  };
}

/** Is what `held` holds a hit for look-ups at `now`? */
export function isLive(
  held: Held | undefined,
  expiry: bigint | undefined,
  now: bigint,
): boolean {
  return (
    held !== undefined && (expiry === undefined || held.last + expiry >= now)
  );
}

/** All indices in use that are not expired at `now`, oldest first. */
export function liveIndices(
  state: State,
  allocator: AllocatorCheck,
  now: bigint,
): readonly Held[] {
  const { chain, capacity, expiry } = allocator;
  const found: Held[] = [];
  const next = (number: number): number => {
    const cell = state.lookup(chain, cellKey(number));
    return cell === undefined
      ? 0
      : new DataView(cell.buffer, cell.byteOffset).getUint32(8, true);
  };
  let number = next(0);
  for (let left = capacity; number !== 0 && left > 0; left--) {
    const held = heldAt(state, allocator, number - 1);
    if (held !== undefined && isLive(held, expiry, now)) found.push(held);
    number = next(number);
  }
  return found;
}

/** Indices on the free list or not yet used, in the order in which they are handed out. */
export function freeIndices(
  state: State,
  { chain, capacity }: AllocatorCheck,
): readonly number[] {
  const head = state.lookup(chain, cellKey(0));
  if (head === undefined) return [];
  const view = new DataView(head.buffer, head.byteOffset);
  const found: number[] = [];
  let number = view.getUint32(4, true);
  while (number !== 0 && found.length <= capacity) {
    found.push(number - 1);
    const cell = state.lookup(chain, cellKey(number));
    number =
      cell === undefined
        ? 0
        : new DataView(cell.buffer, cell.byteOffset).getUint32(8, true);
  }
  for (let index = view.getUint32(0, true); index < capacity; index++)
    found.push(index);
  return found;
}
