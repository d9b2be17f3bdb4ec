/**
 * How the 512 bytes of a frame are divided.
 *
 *   offset from r10   -512 ............................................ 0
 *                       [ slot s0 ]   [p0][p1  ][p2]      [ slot s1  ]
 *
 * Bytes whose address escapes are memory: each slot is a run of bytes that some
 * access joins. All other bytes that are accessed belong to pieces, each of
 * which is one variable. Accesses of one size at one place make one piece; where
 * accesses overlap, pieces end wherever an access does, so that every access is
 * a whole number of pieces.
 */
import { id } from "../base/index.ts";
import type { Slot } from "./program.ts";

export const frameSize = 512;

/** Bytes `low … high - 1`, offsets from r10. */
export interface FrameRange {
  readonly low: number;
  readonly high: number;
}

export interface Piece {
  readonly offset: number;
  readonly size: number;
}

export interface FrameLayout {
  readonly slots: readonly Slot[];
  readonly pieces: readonly Piece[];
  readonly slotAt: (offset: number) => Slot | undefined;
  /** The pieces that make up an access, lowest first; undefined when it is memory. */
  readonly piecesOf: (
    offset: number,
    size: number,
  ) => readonly number[] | undefined;
}

/** Does the range lie inside the frame? */
export function insideFrame(low: number, high: number): boolean {
  return low >= -frameSize && high <= 0 && low < high;
}

/**
 * The escaped bytes: those of `ranges`, and those of accesses that touch one.
 * Index = offset + 512; the number names the run that the byte belongs to.
 */
export function escapedBytes(
  accesses: Iterable<FrameRange>,
  ranges: Iterable<FrameRange>,
): Int16Array {
  const run = new Int16Array(frameSize).fill(-1);
  const join = (range: FrameRange): boolean => {
    const low = Math.max(range.low, -frameSize) + frameSize;
    const high = Math.min(range.high, 0) + frameSize;
    let name = -1;
    let same = true;
    for (let at = low; at < high; at++) {
      const here = run[at] ?? -1;
      if (name < 0) name = here;
      if (here < 0 || here !== name) same = false;
    }
    if (same) return false;
    if (name < 0) name = low;
    const merged = new Set(run.subarray(low, high));
    merged.delete(-1);
    run.fill(name, low, high);
    if (merged.size > 1)
      for (const [at, here] of run.entries())
        if (merged.has(here)) run[at] = name;
    return true;
  };
  for (const range of ranges) join(range);
  const direct = [...accesses];
  for (let changed = true; changed;) {
    changed = false;
    for (const access of direct) {
      const low = access.low + frameSize;
      const touched = run
        .subarray(low, access.high + frameSize)
        .some((name) => name >= 0);
      if (touched && join(access)) changed = true;
    }
  }
  return run;
}

/** `single`: an address of unknown offset is used, so that all memory is one slot. */
export function layoutFrame(
  accesses: readonly FrameRange[],
  escaped: Int16Array,
  single: boolean,
): FrameLayout {
  const slots = single ? oneSlot(escaped) : runsOf(escaped);
  const slotIndex = new Int16Array(frameSize).fill(-1);
  for (const slot of slots)
    slotIndex.fill(
      slot.id,
      slot.offset + frameSize,
      slot.offset + frameSize + slot.size,
    );
  const pieces = piecesFor(
    accesses.filter((access) => (escaped[access.low + frameSize] ?? 0) < 0),
  );
  const pieceIndex = new Int16Array(frameSize).fill(-1);
  for (const [index, piece] of pieces.entries())
    pieceIndex.fill(
      index,
      piece.offset + frameSize,
      piece.offset + frameSize + piece.size,
    );
  return {
    slots,
    pieces,
    slotAt: (offset) => slots[slotIndex[offset + frameSize] ?? -1],
    piecesOf: (offset, size) => {
      if ((escaped[offset + frameSize] ?? 0) >= 0) return undefined;
      const first = pieceIndex[offset + frameSize] ?? -1;
      const last = pieceIndex[offset + frameSize + size - 1] ?? -1;
      if (first < 0 || last < 0) return undefined;
      return Array.from({ length: last - first + 1 }, (_, at) => first + at);
    },
  };
}

function oneSlot(escaped: Int16Array): Slot[] {
  const first = escaped.findIndex((name) => name >= 0);
  if (first < 0) return [];
  return [{ id: id(0), offset: first - frameSize, size: frameSize - first }];
}

/** Joined bytes, as a hull: what lies between two parts of a run is in its slot. */
function runsOf(escaped: Int16Array): Slot[] {
  const hulls = new Map<number, { first: number; last: number }>();
  for (const [at, name] of escaped.entries()) {
    if (name < 0) continue;
    const hull = hulls.get(name);
    if (hull === undefined) hulls.set(name, { first: at, last: at });
    else hull.last = at;
  }
  return [...hulls.values()].map(({ first, last }, index) => ({
    id: id(index),
    offset: first - frameSize,
    size: last - first + 1,
  }));
}

/** Cuts at every start and end of an access; `accesses` touch no escaped byte. */
function piecesFor(accesses: readonly FrameRange[]): Piece[] {
  const covered = new Uint8Array(frameSize);
  const cut = new Uint8Array(frameSize + 1);
  for (const { low, high } of accesses) {
    covered.fill(1, low + frameSize, high + frameSize);
    cut[low + frameSize] = 1;
    cut[high + frameSize] = 1;
  }
  const pieces: Piece[] = [];
  for (let at = 0; at < frameSize;) {
    if (covered[at] === 0) {
      at++;
      continue;
    }
    let end = at + 1;
    while (end < frameSize && covered[end] !== 0 && cut[end] === 0) end++;
    pieces.push({ offset: at - frameSize, size: end - at });
    at = end;
  }
  return pieces;
}
