/**
 * Hash maps in linear memory: hash, lru_hash, their per-CPU kinds, and the sparse
 * maps of devices, CPUs and sockets.
 *
 * Chained buckets over cells. A cell has its value copies, its key, and the number of
 * the next cell of its chain; LRU maps link all cells in order of use besides. Only
 * the values can be reached by the program. As in the kernel, updating an element of
 * a map that is not per-CPU moves it to the spare cell, so that a pointer looked up
 * before still reads the old value; and a full hash answers E2BIG.
 *
 * Eviction is exact: the victim is the element whose last use (lookup by the program,
 * or update) is longest ago. The kernel approximates that; interp does as we do.
 *
 * Source of error numbers: kernel/bpf/hashtab.c, devmap.c.
 */
import { hashConstants, type MapLayout } from "../../codegen/index.ts";
import { errno } from "../../interp/index.ts";
import type { MemoryView } from "./memory-view.ts";

export const updateFlag = { noExist: 1, exist: 2, lock: 4 } as const;

export class TableMap {
  readonly layout: MapLayout;
  /** Cell that the last `claim` answered was made by it. */
  fresh = false;
  size = 0;
  readonly #memory: MemoryView;
  readonly #keyWords: number;
  readonly #keyTail: number;
  readonly #buckets: number;
  readonly #mask: number;
  readonly #next: number;
  readonly #older: number;
  readonly #newer: number;
  readonly #lru: boolean;
  readonly #indexed: boolean;
  readonly #hasLock: boolean;
  readonly #free: number[] = [];
  /** By cell: number of the insertion that made its element. */
  readonly #born: number[] = [];
  #births = 0;
  #unused = 0;
  #spare: number;
  /** Cells, or -1. */
  #newest = -1;
  #oldest = -1;

  constructor(memory: MemoryView, layout: MapLayout) {
    const { spec } = layout;
    this.layout = layout;
    this.#memory = memory;
    this.#keyWords = spec.keySize >>> 2;
    this.#keyTail = spec.keySize & 3;
    // All of these count in words.
    this.#buckets = layout.buckets >>> 2;
    this.#next = layout.next >>> 2;
    this.#older = layout.older >>> 2;
    this.#newer = layout.newer >>> 2;
    this.#mask = layout.bucketCount - 1;
    this.#lru = layout.kind === "lru";
    this.#indexed = ["devmap", "cpumap", "xskmap"].includes(spec.type);
    this.#hasLock =
      spec.valueFields?.some(({ kind }) => kind === "spin-lock") === true;
    this.#spare = layout.capacity;
  }

  /** Cell of the key at that address, or -1. */
  find(key: number): number {
    const { words } = this.#memory;
    const bucket = this.#buckets + (this.#hash(key) & this.#mask);
    let entry = words[bucket] ?? 0;
    while (entry !== 0) {
      if (this.#same(key, entry - 1)) return entry - 1;
      entry = words[this.#next + entry - 1] ?? 0;
    }
    return -1;
  }

  /** The program looked the cell up: news for LRU maps. */
  used(at: number): void {
    if (!this.#lru || at === this.#newest) return;
    this.#unlink(at);
    this.#linkNewest(at);
  }

  /** Address of the value copy of the current CPU, or 0. */
  lookup(key: number): number {
    const at = this.find(key);
    if (at < 0) return 0;
    this.used(at);
    const { values, stride, copies } = this.layout;
    if (copies === 1) return values + at * stride;
    return values + (at * copies + this.#memory.cpu) * stride;
  }

  /** The cell to write the key's value to, or a negated error. */
  claim(key: number, flags: number): number {
    this.fresh = false;
    if ((flags & ~updateFlag.lock) >>> 0 > updateFlag.exist)
      return -errno.EINVAL;
    if ((flags & updateFlag.lock) !== 0 && !this.#hasLock) return -errno.EINVAL;
    if (this.#indexed && this.#memory.u32(key) >= this.layout.capacity)
      return -errno.E2BIG;
    const at = this.find(key);
    if (at < 0)
      return (flags & updateFlag.exist) !== 0
        ? -errno.ENOENT
        : this.#insert(key);
    if ((flags & updateFlag.noExist) !== 0) return -errno.EEXIST;
    const inPlace = this.layout.copies > 1 || (flags & updateFlag.lock) !== 0;
    if (!inPlace) return this.#moveToSpare(key, at);
    this.used(at);
    return at;
  }

  remove(key: number): number {
    const at = this.find(key);
    if (at >= 0) {
      this.#drop(at);
      return 0;
    }
    if (!this.#indexed) return -errno.ENOENT;
    return this.#memory.u32(key) < this.layout.capacity ? 0 : -errno.EINVAL;
  }

  /** Cells in use. */
  *cells(): Iterable<number> {
    const { words } = this.#memory;
    for (let bucket = 0; bucket <= this.#mask; bucket++)
      for (
        let entry = words[this.#buckets + bucket] ?? 0;
        entry !== 0;
        entry = words[this.#next + entry - 1] ?? 0
      )
        yield entry - 1;
  }

  /** As inserted; of LRU maps the longest unused first. A snapshot. */
  inOrder(): readonly number[] {
    if (this.#lru) return [...this.byAge()];
    const born = this.#born;
    return [...this.cells()].sort((a, b) => (born[a] ?? 0) - (born[b] ?? 0));
  }

  /** Cells of an LRU map, longest unused first. */
  *byAge(): Iterable<number> {
    for (let at = this.#oldest; at >= 0; at = this.#link(this.#newer, at))
      yield at;
  }

  keyAddress(at: number): number {
    return this.layout.keys + at * this.layout.keyStride;
  }

  #insert(key: number): number {
    const { capacity } = this.layout;
    if (this.size >= capacity) {
      if (!this.#lru || capacity === 0) return -errno.E2BIG;
      this.#drop(this.#oldest);
    }
    const at = this.#free.pop() ?? this.#unused++;
    const { words } = this.#memory;
    const bucket = this.#buckets + (this.#hash(key) & this.#mask);
    words[this.#next + at] = words[bucket] ?? 0;
    words[bucket] = at + 1;
    this.#setKey(at, key);
    if (this.#lru) this.#linkNewest(at);
    this.size++;
    this.#born[at] = this.#births++;
    this.fresh = true;
    return at;
  }

  #moveToSpare(key: number, at: number): number {
    const target = this.#spare;
    const { words } = this.#memory;
    this.#born[target] = this.#born[at] ?? 0;
    words[this.#slotOf(at)] = target + 1;
    words[this.#next + target] = words[this.#next + at] ?? 0;
    this.#setKey(target, key);
    if (this.#lru) {
      this.#unlink(at);
      this.#linkNewest(target);
    }
    this.#spare = at;
    return target;
  }

  #drop(at: number): void {
    const { words } = this.#memory;
    words[this.#slotOf(at)] = words[this.#next + at] ?? 0;
    if (this.#lru) this.#unlink(at);
    this.#free.push(at);
    this.size--;
  }

  /** Index of the word that names this cell in its chain. */
  #slotOf(at: number): number {
    const { words } = this.#memory;
    let slot = this.#buckets + (this.#hash(this.keyAddress(at)) & this.#mask);
    for (;;) {
      const entry = words[slot] ?? 0;
      if (entry === at + 1 || entry === 0) return slot;
      slot = this.#next + entry - 1;
    }
  }

  #setKey(at: number, key: number): void {
    const to = this.keyAddress(at);
    this.#memory.move(to, key, this.layout.spec.keySize);
  }

  #hash(key: number): number {
    const { data } = this.#memory;
    const { seed, m1, m2 } = hashConstants;
    let hash: number = seed;
    let at = key;
    for (let word = this.#keyWords; word > 0; word--) {
      hash = Math.imul(hash ^ data.getInt32(at, true), m1);
      hash ^= hash >>> 15;
      at += 4;
    }
    for (let byte = this.#keyTail; byte > 0; byte--)
      hash = Math.imul(hash ^ data.getUint8(at++), m1);
    hash = Math.imul(hash ^ (hash >>> 13), m2);
    return hash ^ (hash >>> 16);
  }

  #same(key: number, at: number): boolean {
    const { data } = this.#memory;
    let left = key;
    let right = this.keyAddress(at);
    for (let word = this.#keyWords; word > 0; word--) {
      if (data.getInt32(left, true) !== data.getInt32(right, true))
        return false;
      left += 4;
      right += 4;
    }
    for (let byte = this.#keyTail; byte > 0; byte--)
      if (data.getUint8(left++) !== data.getUint8(right++)) return false;
    return true;
  }

  /** The neighbour in a list of use, or -1. */
  #link(list: number, at: number): number {
    return (this.#memory.words[list + at] ?? 0) - 1;
  }

  #unlink(at: number): void {
    const { words } = this.#memory;
    const older = this.#link(this.#older, at);
    const newer = this.#link(this.#newer, at);
    if (older < 0) this.#oldest = newer;
    else words[this.#newer + older] = newer + 1;
    if (newer < 0) this.#newest = older;
    else words[this.#older + newer] = older + 1;
  }

  #linkNewest(at: number): void {
    const { words } = this.#memory;
    words[this.#older + at] = this.#newest + 1;
    words[this.#newer + at] = 0;
    if (this.#newest < 0) this.#oldest = at;
    else words[this.#newer + this.#newest] = at + 1;
    this.#newest = at;
  }
}
