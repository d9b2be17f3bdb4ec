/**
 * The list of a chain put in order again, of which src/codegen/wasm/ageing.ts has the
 * law. Whoever calls holds all tokens; links and ages are in the array's cells, what
 * the list does not know yet beside it:
 *
 *   rank of a cell   the epoch of its last refresh: 2n for the n-th writer, 2n + 1 for
 *                    readers behind it, and among those of one epoch their `last`
 *   place            the rank with which it was put where it stands; rank and place
 *                    differ while `stamped` is not 0
 *
 * Invariant: places do not fall from oldest to newest, and no rank is below its place.
 * So an oldest cell whose place is its rank is the oldest of all, and the list is in
 * order if that is so of every cell.
 */
import { Bug } from "../../base/index.ts";
import type { ChainLayout, MapLayout } from "../../codegen/index.ts";
import type { MemoryView } from "./memory-view.ts";

const next = 8;
const previous = 12;

export class ChainOrder {
  readonly #memory: MemoryView;
  readonly #map: MapLayout;
  readonly #chain: ChainLayout;

  constructor(memory: MemoryView, map: MapLayout, chain: ChainLayout) {
    this.#memory = memory;
    this.#map = map;
    this.#chain = chain;
  }

  /** The oldest cell is the oldest. */
  settleHead(): void {
    for (let turn = 0; turn <= this.#map.capacity; turn++) {
      const cell = this.#link(0, next);
      if (cell === 0 || this.#stamp(cell) === 0) return;
      this.#move(cell);
    }
    throw new Bug(`the list of ${this.#map.spec.name} has no end`);
  }

  /** The whole list is in order. */
  settle(): void {
    const late: { readonly cell: number; readonly last: bigint }[] = [];
    let cell = this.#link(0, next);
    for (let turn = 0; cell !== 0; turn++) {
      if (turn > this.#map.capacity)
        throw new Bug(`the list of ${this.#map.spec.name} has no end`);
      if (this.#stamp(cell) !== 0) late.push({ cell, last: this.#last(cell) });
      cell = this.#link(cell, next);
    }
    // Each goes behind all that is not younger, so the oldest go first.
    late.sort(
      (left, right) =>
        this.#stamp(left.cell) - this.#stamp(right.cell) ||
        (left.last < right.last ? -1 : left.last > right.last ? 1 : 0),
    );
    for (const { cell: moved } of late) this.#move(moved);
  }

  /** To the place of its rank, sought from the newest. */
  #move(cell: number): void {
    const rank = 2 * this.#stamp(cell) - 1;
    const last = this.#last(cell);
    this.#join(this.#link(cell, previous), this.#link(cell, next));
    let before = this.#link(0, previous);
    while (before !== 0 && this.#isYounger(before, rank, last))
      before = this.#link(before, previous);
    const behind = this.#link(before, next);
    this.#join(before, cell);
    this.#join(cell, behind);
    const { words, data } = this.#memory;
    words[(this.#chain.stamped >>> 2) + cell] = 0;
    words[(this.#chain.placed >>> 2) + cell] = rank;
    data.setBigUint64(this.#chain.aged + 8 * cell, last, true);
  }

  #isYounger(cell: number, rank: number, last: bigint): boolean {
    const { words, data } = this.#memory;
    const place = (words[(this.#chain.placed >>> 2) + cell] ?? 0) >>> 0;
    if (place !== rank) return place > rank;
    return data.getBigUint64(this.#chain.aged + 8 * cell, true) > last;
  }

  #stamp(cell: number): number {
    return (this.#memory.words[(this.#chain.stamped >>> 2) + cell] ?? 0) >>> 0;
  }

  #last(cell: number): bigint {
    return this.#memory.data.getBigUint64(this.#at(cell), true);
  }

  #at(cell: number): number {
    return this.#map.values + cell * this.#map.cellStride;
  }

  #link(cell: number, which: number): number {
    return this.#memory.u32(this.#at(cell) + which);
  }

  #join(before: number, behind: number): void {
    this.#memory.setU32(this.#at(before) + next, behind);
    this.#memory.setU32(this.#at(behind) + previous, before);
  }
}
