/**
 * Entries of expiring maps that move: beside the element of the hash goes its cell in the
 * allocator's chain (nf_chain.h), so that it stays in the order of its last use.
 *
 * Maps are private to cores here, and one capacity is split over them by first contents
 * alone: each core's chain begins with its own range of cells on the free list and
 * `fresh` at the capacity, so that nothing else is ever handed out; a cell of another
 * range is free and on no list, which a look-up takes for "not allocated".
 *
 *   source        unlinks the cell and leaves it free and on no list: the index is
 *                 reserved, and not handed out here again
 *   destination   writes the cell under the same index and links it in by its time
 *
 * So indices, and ports made of them, stay what they were, and are unique over all
 * cores all the time. Arrays with a cell per index follow.
 */
import { Bug } from "../../../base/index.ts";
import type { MapEntry } from "../../../interp/index.ts";
import type { MapContents } from "../map-contents.ts";

export interface RecordChain {
  /** The array of cells; cell 0 is the head. */
  readonly array: string;
  /** The hash whose values hold the index, in four aligned bytes. */
  readonly entries: string;
  /** Elements and bytes of the array. */
  readonly cells: number;
  readonly cellSize: number;
  /** Where in a cell the key of its entry stands. */
  readonly keyOffset: number;
  /** Indices of each core; their sum is the capacity. */
  readonly shares: readonly number[];
  /** Arrays with a cell per index. */
  readonly following: readonly string[];
}

export interface MovedCell {
  readonly index: number;
  readonly cell: Uint8Array;
  /** Of the arrays that follow, in order. */
  readonly following: readonly Uint8Array[];
}

const at = { last: 0, fresh: 0, free: 4, next: 8, previous: 12 } as const;
const freeCell = 0xffffffff;

/** First contents of a core's array. */
export function chainContents(
  { cells, cellSize, shares }: RecordChain,
  core: number,
): readonly MapEntry[] {
  const capacity = shares.reduce((sum, share) => sum + share, 0);
  const first = shares.slice(0, core).reduce((sum, share) => sum + share, 0);
  const end = first + (shares[core] ?? 0);
  return Array.from({ length: cells }, (_, number): MapEntry => {
    const value = new Uint8Array(cellSize);
    const view = new DataView(value.buffer);
    if (number === 0) {
      view.setUint32(at.fresh, capacity, true);
      view.setUint32(at.free, end > first ? first + 1 : 0, true);
    } else if (number <= capacity) {
      view.setUint32(at.previous, freeCell, true);
      const isOwn = number > first && number < end;
      view.setUint32(at.next, isOwn ? number + 1 : 0, true);
    }
    return { key: numberKey(number), value };
  });
}

/** Of hash elements that leave: their cells, unlinked. */
export function extractCells(
  contents: MapContents,
  chain: RecordChain,
  entries: readonly MapEntry[],
): readonly MovedCell[] {
  const cells = new Cells(contents, chain.array);
  return entries.map((entry) => {
    const { index } = indexIn(entry, chain, (number) => cells.bytes(number));
    const cell = cells.read(index + 1);
    const before = cell.getUint32(at.previous, true);
    const after = cell.getUint32(at.next, true);
    cells.set(before, at.next, after);
    cells.set(after, at.previous, before);
    const left = new DataView(new ArrayBuffer(chain.cellSize));
    left.setUint32(at.previous, freeCell, true);
    cells.write(index + 1, left);
    const following = chain.following.map((map) => {
      const key = numberKey(index);
      const held = contents.lookup(map, key) ?? new Uint8Array(0);
      contents.update(map, key, new Uint8Array(held.length));
      return held;
    });
    return { index, cell: new Uint8Array(cell.buffer), following };
  });
}

/** Into the list by the time of last use: the newest is last. */
export function installCells(
  contents: MapContents,
  chain: RecordChain,
  moved: readonly MovedCell[],
): void {
  const cells = new Cells(contents, chain.array);
  for (const { index, cell, following } of moved) {
    const view = new DataView(cell.slice().buffer);
    const last = view.getBigUint64(at.last, true);
    let before = cells.read(0).getUint32(at.previous, true);
    while (before !== 0) {
      const other = cells.read(before);
      if (other.getBigUint64(at.last, true) <= last) break;
      before = other.getUint32(at.previous, true);
    }
    const after = cells.read(before).getUint32(at.next, true);
    view.setUint32(at.previous, before, true);
    view.setUint32(at.next, after, true);
    cells.write(index + 1, view);
    cells.set(before, at.next, index + 1);
    cells.set(after, at.previous, index + 1);
    for (const [place, map] of chain.following.entries()) {
      const held = following[place];
      if (held !== undefined) contents.update(map, numberKey(index), held);
    }
  }
}

/**
 * The entries of all cores, by key: value without the index, time of last use, what
 * follows. Equal where two runs have the same entries under other indices.
 */
export function chainState(
  chain: RecordChain,
  cores: readonly Readonly<Record<string, readonly MapEntry[]>>[],
): ReadonlyMap<string, { readonly index: number; readonly text: string }> {
  const state = new Map<string, { index: number; text: string }>();
  for (const contents of cores) {
    const cells = contents[chain.array] ?? [];
    for (const { key, value } of contents[chain.entries] ?? []) {
      const { index, offset } = indexIn(
        { key, value },
        chain,
        (number) => cells[number]?.value,
      );
      const cell = cells[index + 1]?.value ?? new Uint8Array(8);
      const held = chain.following.map(
        (map) => contents[map]?.[index]?.value.join() ?? "",
      );
      const text = [
        value.map((byte, at) => (at >> 2 === offset >> 2 ? 0 : byte)).join(),
        cell.subarray(0, 8).join(),
        ...held,
      ].join(" ");
      // Twice the same key is what no sequential state has.
      state.set(key.join(), {
        index,
        text: state.has(key.join()) ? "twice" : text,
      });
    }
  }
  return state;
}

class Cells {
  readonly #contents: MapContents;
  readonly #array: string;

  constructor(contents: MapContents, array: string) {
    this.#contents = contents;
    this.#array = array;
  }

  bytes(number: number): Uint8Array | undefined {
    return this.#contents.lookup(this.#array, numberKey(number));
  }

  /** A copy. */
  read(number: number): DataView<ArrayBuffer> {
    const found = this.bytes(number);
    const copy = new Uint8Array(found?.length ?? 64);
    if (found !== undefined) copy.set(found);
    return new DataView(copy.buffer);
  }

  write(number: number, view: DataView<ArrayBuffer>): void {
    const value = new Uint8Array(view.buffer);
    this.#contents.update(this.#array, numberKey(number), value);
  }

  set(number: number, field: number, value: number): void {
    const view = this.read(number);
    view.setUint32(field, value, true);
    this.write(number, view);
  }
}

/**
 * The index in an entry's value: what names the cell that has the entry's key. Mostly
 * the last field, so it is looked for from the end.
 */
function indexIn(
  { key, value }: MapEntry,
  { array, cells, keyOffset }: RecordChain,
  cellAt: (number: number) => Uint8Array | undefined,
): { readonly index: number; readonly offset: number } {
  const view = new DataView(value.buffer, value.byteOffset, value.length);
  for (let offset = (value.length & ~3) - 4; offset >= 0; offset -= 4) {
    const index = view.getUint32(offset, true);
    if (index + 1 >= cells) continue;
    const cell = cellAt(index + 1);
    if (cell !== undefined && hasKey(cell, key, keyOffset))
      return { index, offset };
  }
  throw new Bug(`an entry has no cell in ${array}`);
}

function hasKey(cell: Uint8Array, key: Uint8Array, keyOffset: number): boolean {
  return key.every((byte, at) => cell[keyOffset + at] === byte);
}

function numberKey(number: number): Uint8Array {
  return new Uint8Array(Uint32Array.of(number).buffer);
}
