/**
 * The array of an allocator over cores as the sequential program's, and back.
 *
 *   originalCells   one head for all: the lists of the cores, merged by their times;
 *                   fresh: cells up to the last one that any core used. What lies
 *                   below and was never used stands on the free list, behind what was
 *                   taken back
 *   splitCells      each core's part of one list: the indices of its range, in order
 *
 * Both are legal states of the same allocator: every look-up finds in the one what it
 * finds in the other, and which index comes next is nobody's promise.
 *
 * Law: originalCells ∘ splitCells = identity on chains in the order of their times
 * whose free list is what this writes.
 *
 * A chain that a program changes meanwhile may be read in two halves: a list is
 * followed for as long as it has cells, never longer, and never out of its range.
 */
import { cellLayout, headOf, type ChainLayout } from "./chain-layout.ts";
import { firstIndices } from "./capacities.ts";

const { last, next, previous } = cellLayout;
const notAllocated = 0xffff_ffff;

/** A cell by its key; undefined: there is none. */
export type CellAt = (key: number) => Uint8Array | undefined;

/** Cells 0 … N − 1. */
export function originalCells(
  cellAt: CellAt,
  layout: ChainLayout,
): Uint8Array[] {
  const size = cellAt(0)?.length ?? cellLayout.size;
  const cells = Array.from(
    { length: layout.cells },
    (_, key) => cellAt(key)?.slice() ?? new Uint8Array(size),
  );
  const ranges = rangesOf(layout);
  const chains = ranges.map(({ first, capacity, head }) => {
    const bytes = cellAt(head) ?? new Uint8Array(size);
    const within = (number: number): boolean =>
      number > first && number <= first + capacity;
    const follow = (start: number): number[] =>
      list(cells, start, within, capacity);
    const used = Math.max(word(bytes, last), first);
    return {
      allocated: follow(word(bytes, next)),
      free: follow(word(bytes, last + 4)),
      used: Math.min(used, first + capacity),
      first,
      capacity,
    };
  });
  const fresh = Math.max(
    0,
    ...chains.map(({ used, first }) => (used > first ? used : 0)),
  );
  const holes = chains.flatMap(({ used, first, capacity }) =>
    numbers(used + 1, Math.min(first + capacity, fresh)),
  );
  const allocated = mergedByTime(
    chains.map((chain) => chain.allocated),
    cells,
  );
  const free = [...chains.flatMap((chain) => chain.free), ...holes];
  link(cells, cells[0], { allocated, free, fresh });
  return cells;
}

/** Every cell of the array over cores: of `cells`, and the heads behind them. */
export function splitCells(
  cells: readonly Uint8Array[],
  layout: ChainLayout,
): ReadonlyMap<number, Uint8Array> {
  const size = cells[0]?.length ?? cellLayout.size;
  const head = cells[0] ?? new Uint8Array(size);
  const fresh = word(head, last);
  const anywhere = (number: number): boolean =>
    number > 0 && number < cells.length;
  const allocated = list(cells, word(head, next), anywhere, cells.length);
  const free = list(cells, word(head, last + 4), anywhere, cells.length);
  const split = cells.map((cell) => cell.slice());
  const whole = new Map(split.entries());
  whole.delete(0);
  for (const { first, capacity, head: at } of rangesOf(layout)) {
    const end = first + capacity;
    const isOwn = (number: number): boolean => number > first && number <= end;
    const used = Math.min(Math.max(fresh, first), end);
    const own = new Uint8Array(size);
    link(split, own, {
      allocated: allocated.filter(isOwn),
      free: free.filter(isOwn),
      fresh: used > first ? used : 0,
    });
    whole.set(at, own);
  }
  return whole;
}

interface Chain {
  /** Cell numbers, the oldest first. */
  readonly allocated: readonly number[];
  readonly free: readonly number[];
  readonly fresh: number;
}

/** Gives cells and their head these links, in place. */
function link(
  cells: readonly Uint8Array[],
  head: Uint8Array | undefined,
  { allocated, free, fresh }: Chain,
): void {
  for (const [at, number] of allocated.entries()) {
    setWord(cells[number], next, allocated[at + 1] ?? 0);
    setWord(cells[number], previous, allocated[at - 1] ?? 0);
  }
  for (const [at, number] of free.entries()) {
    setWord(cells[number], last, 0);
    setWord(cells[number], last + 4, 0);
    setWord(cells[number], next, free[at + 1] ?? 0);
    setWord(cells[number], previous, notAllocated);
  }
  setWord(head, last, fresh);
  setWord(head, last + 4, free[0] ?? 0);
  setWord(head, next, allocated[0] ?? 0);
  setWord(head, previous, allocated.at(-1) ?? 0);
}

function rangesOf(layout: ChainLayout) {
  const firsts = firstIndices(layout.capacities);
  return layout.capacities.map((capacity, core) => ({
    first: firsts[core] ?? 0,
    capacity,
    head: headOf(layout, core),
  }));
}

/** Numbers along the links, at most `most` of them. */
function list(
  cells: readonly Uint8Array[],
  start: number,
  within: (number: number) => boolean,
  most: number,
): number[] {
  const found: number[] = [];
  for (let at = start; within(at) && found.length < most;) {
    found.push(at);
    at = word(cells[at] ?? new Uint8Array(cellLayout.size), next);
  }
  return found;
}

/** The oldest first; of two of one time that of the first core. */
function mergedByTime(
  lists: readonly (readonly number[])[],
  cells: readonly Uint8Array[],
): number[] {
  const heads = lists.map(() => 0);
  const merged: number[] = [];
  for (;;) {
    let oldest = -1;
    let time = 0n;
    for (const [core, numbersOf] of lists.entries()) {
      const number = numbersOf[heads[core] ?? 0];
      if (number === undefined) continue;
      const own = timeOf(cells[number]);
      if (oldest < 0 || own < time) {
        oldest = core;
        time = own;
      }
    }
    const number = lists[oldest]?.[heads[oldest] ?? 0];
    if (number === undefined) return merged;
    merged.push(number);
    heads[oldest] = (heads[oldest] ?? 0) + 1;
  }
}

function numbers(from: number, to: number): number[] {
  return Array.from(
    { length: Math.max(0, to - from + 1) },
    (_, at) => from + at,
  );
}

function view(cell: Uint8Array): DataView {
  return new DataView(cell.buffer, cell.byteOffset, cell.length);
}

function timeOf(cell: Uint8Array | undefined): bigint {
  return cell === undefined ? 0n : view(cell).getBigUint64(last, true);
}

function word(cell: Uint8Array, at: number): number {
  return view(cell).getUint32(at, true);
}

function setWord(
  cell: Uint8Array | undefined,
  at: number,
  value: number,
): void {
  if (cell !== undefined) view(cell).setUint32(at, value, true);
}
