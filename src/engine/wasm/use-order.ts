/**
 * The order of use of an LRU map's cells, a doubly linked list in linear memory.
 *
 * In private memory each use moves its cell to the newest end. In shared memory a use
 * by the program takes no lock: it goes into a log of the core, which the core works
 * off when it next has the map's lock, at the latest when the log is full. So one core
 * in shared memory evicts exactly as in private memory, and of several each is at most
 * a log behind. A logged cell may have gone since, or come back under another key: the
 * first is passed over, the second only makes an element younger than it is.
 */
import { mapState, touchLog, type MapLayout } from "../../codegen/index.ts";
import type { MapLock } from "./map-lock.ts";
import type { MemoryView } from "./memory-view.ts";

export class UseOrder {
  readonly #words: Int32Array;
  readonly #lock: MapLock | undefined;
  // Indices of words.
  readonly #older: number;
  readonly #newer: number;
  readonly #oldest: number;
  readonly #newest: number;
  readonly #log: number;

  constructor(
    memory: MemoryView,
    layout: MapLayout,
    lock: MapLock | undefined,
  ) {
    this.#words = memory.words;
    this.#lock = lock;
    this.#older = layout.older >>> 2;
    this.#newer = layout.newer >>> 2;
    this.#oldest = (layout.state + mapState.oldest) >>> 2;
    this.#newest = (layout.state + mapState.newest) >>> 2;
    this.#log = (layout.touches + memory.core * touchLog.stride) >>> 2;
  }

  /** The cell that was used longest ago, or -1. */
  get oldest(): number {
    return (this.#words[this.#oldest] ?? 0) - 1;
  }

  /** The program looked the cell up. The lock is not held. */
  used(at: number): void {
    if (this.#lock === undefined) {
      this.renew(at);
      return;
    }
    const words = this.#words;
    let count = words[this.#log] ?? 0;
    if (count > 0 && words[this.#log + count] === at) return;
    if (count === touchLog.entries) {
      this.#lock.take();
      this.catchUp();
      this.#lock.release();
      count = 0;
    }
    words[this.#log + count + 1] = at;
    words[this.#log] = count + 1;
  }

  /** Works the log off. The lock is held. */
  catchUp(): void {
    if (this.#lock === undefined) return;
    const words = this.#words;
    const count = words[this.#log] ?? 0;
    for (let index = 1; index <= count; index++) {
      const at = words[this.#log + index] ?? 0;
      if (words[this.#older + at] !== -1) this.renew(at);
    }
    words[this.#log] = 0;
  }

  /** Moves a cell to the newest end. */
  renew(at: number): void {
    if (this.#words[this.#newest] === at + 1) return;
    this.remove(at);
    this.add(at);
  }

  /** Puts a cell that is in no list at the newest end. */
  add(at: number): void {
    const words = this.#words;
    const newest = words[this.#newest] ?? 0;
    words[this.#older + at] = newest;
    words[this.#newer + at] = 0;
    words[newest === 0 ? this.#oldest : this.#newer + newest - 1] = at + 1;
    words[this.#newest] = at + 1;
  }

  remove(at: number): void {
    const words = this.#words;
    const older = words[this.#older + at] ?? 0;
    const newer = words[this.#newer + at] ?? 0;
    words[older === 0 ? this.#oldest : this.#newer + older - 1] = newer;
    words[newer === 0 ? this.#newest : this.#older + newer - 1] = older;
    words[this.#older + at] = -1;
  }

  /** Longest unused first. */
  *cells(): Iterable<number> {
    for (let at = this.oldest; at >= 0;) {
      yield at;
      at = (this.#words[this.#newer + at] ?? 0) - 1;
    }
  }
}
