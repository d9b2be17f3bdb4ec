/**
 * Hash maps in linear memory: hash, lru_hash, their per-CPU kinds, maps of maps by
 * hash, and the sparse maps of devices, CPUs and sockets.
 *
 * Chained buckets over cells (src/codegen/wasm/map-layout.ts). Only values can be reached by
 * the program. As in the kernel, updating an element of a map that is not per-CPU
 * moves it to the spare cell, so that a pointer looked up before still reads the old
 * value; and a full hash answers E2BIG.
 *
 * Eviction is exact: the victim is the element whose last use (lookup by the program,
 * or update) is longest ago. The kernel approximates that; interp does as we do. In
 * shared memory it is exact up to what use-order.ts says.
 *
 * Shared memory. Changes hold the map's lock. A lookup holds nothing: it reads its
 * bucket's version, walks the chain, and reads the version again. The version counts
 * the cells that left the chain, and a cell is written for another key only after it
 * left and was counted. So if both readings agree, every cell that was seen was in the
 * chain with its key all the time, hit and miss alike are true of one moment, and no
 * key was half old and half new. If not, again; after some attempts under the lock.
 * The version is read at every step too, since a chain whose cells are moved about
 * need not end. A cell is linked after key and value are written; one atomic store
 * replaces an element's cell by its new one, so it is never missing. (The kernel ends
 * chains with "nulls" that name the bucket, and retries when it ends up in another
 * one: cheaper, but an element that is updated meanwhile can be missed.)
 *
 * What is not promised: a pointer from a lookup stays valid memory, but once its
 * element is deleted or updated the cell may be used for another key, even while the
 * program still holds the pointer. So it is in the kernel, preallocated or not.
 *
 * Source of error numbers: kernel/bpf/hashtab.c, devmap.c, cpumap.c.
 */
import {
  hashConstants,
  mapState,
  type MapLayout,
} from "../../codegen/index.ts";
import { errno } from "../../interp/index.ts";
import { CellValues, updateFlag } from "./cell-values.ts";
import type { MapLock } from "./map-lock.ts";
import type { MemoryView } from "./memory-view.ts";
import { UseOrder } from "./use-order.ts";

/** Lookups that may fail to see an unchanged bucket before the lock is taken. */
const attempts = 64;

export class TableMap {
  readonly layout: MapLayout;
  readonly values: CellValues;
  readonly #memory: MemoryView;
  readonly #lock: MapLock | undefined;
  readonly #order: UseOrder | undefined;
  readonly #keyWords: number;
  readonly #keyTail: number;
  readonly #mask: number;
  // Indices of words.
  readonly #buckets: number;
  readonly #bucketWords: number;
  readonly #next: number;
  readonly #size: number;
  readonly #free: number;
  readonly #unused: number;
  readonly #spare: number;
  readonly #births: number;
  readonly #born: number;

  constructor(
    memory: MemoryView,
    layout: MapLayout,
    lock: MapLock | undefined,
  ) {
    const { spec, state } = layout;
    this.layout = layout;
    this.values = new CellValues(memory, layout);
    this.#memory = memory;
    this.#lock = lock;
    this.#order =
      layout.kind === "lru" ? new UseOrder(memory, layout, lock) : undefined;
    this.#keyWords = spec.keySize >>> 2;
    this.#keyTail = spec.keySize & 3;
    this.#mask = layout.bucketCount - 1;
    this.#buckets = layout.buckets >>> 2;
    this.#bucketWords = layout.bucketStride >>> 2;
    this.#next = layout.next >>> 2;
    this.#size = (state + mapState.size) >>> 2;
    this.#free = (state + mapState.free) >>> 2;
    this.#unused = (state + mapState.unused) >>> 2;
    this.#spare = (state + mapState.spare) >>> 2;
    this.#births = (state + mapState.births) >>> 2;
    this.#born = layout.born >>> 2;
  }

  get size(): number {
    return this.#memory.words[this.#size] ?? 0;
  }

  /** Cell of the key at that address, or -1. */
  find(key: number): number {
    const lock = this.#lock;
    if (lock === undefined) return this.locate(key);
    const { words } = this.#memory;
    const head = this.#head(key);
    for (let attempt = 0; attempt < attempts; attempt++) {
      const version = Atomics.load(words, head + 1);
      const at = this.#walkShared(key, head, version);
      if (Atomics.load(words, head + 1) === version) return at;
    }
    lock.take();
    const at = this.locate(key);
    lock.release();
    return at;
  }

  /** The same; nobody changes the map meanwhile. */
  locate(key: number): number {
    const slot = this.#slotOf(key, this.#head(key));
    return (this.#memory.words[slot] ?? 0) - 1;
  }

  /** Address of the value that the current CPU sees, or 0. It is used now. */
  lookup(key: number): number {
    const at = this.find(key);
    if (at < 0) return 0;
    this.#order?.used(at);
    const { copies } = this.layout;
    return this.values.address(at, copies === 1 ? 0 : this.#memory.cpu);
  }

  /** 0 or a negated error. The value is what `values` was told. */
  update(key: number, flags: number): number {
    const lock = this.#lock;
    if (lock === undefined) return this.change(key, flags, key);
    lock.take();
    this.#order?.catchUp();
    const answer = this.change(key, flags, key);
    lock.release();
    return answer;
  }

  /** 0 or a negated error. */
  remove(key: number): number {
    const lock = this.#lock;
    if (lock === undefined) return this.drop(key);
    lock.take();
    this.#order?.catchUp();
    const answer = this.drop(key);
    lock.release();
    return answer;
  }

  /** An update; the lock is held. `given` is the key for the map's own records. */
  change(key: number, flags: number, given: number): number {
    const bad = this.#badFlags(flags);
    if (bad !== 0) return bad;
    const head = this.#head(key);
    const slot = this.#slotOf(key, head);
    const entry = this.#memory.words[slot] ?? 0;
    if (entry === 0)
      return (flags & updateFlag.exist) !== 0
        ? -errno.ENOENT
        : this.#insert(key, head, given);
    if ((flags & updateFlag.noExist) !== 0) return -errno.EEXIST;
    const at = entry - 1;
    if (this.layout.copies > 1 || (flags & updateFlag.lock) !== 0) {
      this.values.put(at, flags, "in-place");
      this.#order?.renew(at);
    } else this.#move(at, { key, head, slot, given });
    return 0;
  }

  /** A deletion; the lock is held. */
  drop(key: number): number {
    const head = this.#head(key);
    const slot = this.#slotOf(key, head);
    const entry = this.#memory.words[slot] ?? 0;
    if (entry === 0) return -errno.ENOENT;
    this.#unlink(entry - 1, head, slot);
    return 0;
  }

  /** Cells in use, by bucket and from the newest in it. */
  cells(): readonly number[] {
    const { words } = this.#memory;
    const cells: number[] = [];
    for (let bucket = 0; bucket <= this.#mask; bucket++) {
      let entry = words[this.#buckets + bucket * this.#bucketWords] ?? 0;
      for (; entry !== 0; entry = words[this.#next + entry - 1] ?? 0)
        cells.push(entry - 1);
    }
    return cells;
  }

  /** As inserted; of LRU maps the longest unused first, as far as uses are known. */
  inOrder(): readonly number[] {
    return this.calmly(() => {
      const order = this.#order;
      if (order !== undefined) {
        order.catchUp();
        return [...order.cells()];
      }
      const { words } = this.#memory;
      const born = (at: number): number => words[this.#born + at] ?? 0;
      return [...this.cells()].sort((a, b) => born(a) - born(b));
    });
  }

  /** What `run` gives while nobody changes the map; it may not use the lock itself. */
  calmly<T>(run: () => T): T {
    if (this.#lock === undefined) return run();
    this.#lock.take();
    try {
      return run();
    } finally {
      this.#lock.release();
    }
  }

  keyAddress(at: number): number {
    return this.layout.keys + at * this.layout.keyStride;
  }

  #badFlags(flags: number): number {
    const { kind, copies } = this.layout;
    const takesLock = kind === "hash" && copies === 1;
    const left = takesLock ? flags & ~updateFlag.lock : flags;
    if (left >>> 0 > updateFlag.exist) return -errno.EINVAL;
    if ((flags & updateFlag.lock) !== 0 && !this.values.hasLock)
      return -errno.EINVAL;
    return 0;
  }

  #insert(key: number, head: number, given: number): number {
    const { words } = this.#memory;
    const { capacity } = this.layout;
    const size = words[this.#size] ?? 0;
    if (size >= capacity) {
      if (this.#order === undefined || capacity === 0) return -errno.E2BIG;
      this.#evict(this.#order.oldest);
    }
    const at = this.#take();
    this.#setKey(at, key, given);
    this.values.put(at, 0, "fresh");
    const births = (words[this.#births] ?? 0) + 1;
    words[this.#births] = births;
    words[this.#born + at] = births;
    words[this.#next + at] = words[head] ?? 0;
    this.#link(head, at + 1);
    this.#order?.add(at);
    words[this.#size] = (words[this.#size] ?? 0) + 1;
    return 0;
  }

  #move(
    at: number,
    to: {
      readonly key: number;
      readonly head: number;
      readonly slot: number;
      readonly given: number;
    },
  ): void {
    const { words } = this.#memory;
    const { capacity } = this.layout;
    // 0, as the memory begins, is cell `capacity`; cell c is c + 1.
    const spare = words[this.#spare] ?? 0;
    const target = spare === 0 ? capacity : spare - 1;
    this.#setKey(target, to.key, to.given);
    this.values.put(target, 0, "moved");
    words[this.#born + target] = words[this.#born + at] ?? 0;
    words[this.#next + target] = words[this.#next + at] ?? 0;
    this.#link(to.slot, target + 1);
    this.#left(to.head);
    this.#order?.remove(at);
    this.#order?.add(target);
    words[this.#spare] = at + 1;
  }

  #evict(at: number): void {
    const key = this.keyAddress(at);
    const head = this.#head(key);
    this.#unlink(at, head, this.#slotOf(key, head));
  }

  #unlink(at: number, head: number, slot: number): void {
    const { words } = this.#memory;
    this.#link(slot, words[this.#next + at] ?? 0);
    this.#left(head);
    this.#order?.remove(at);
    words[this.#next + at] = words[this.#free] ?? 0;
    words[this.#free] = at + 1;
    words[this.#size] = (words[this.#size] ?? 0) - 1;
  }

  /** A free cell; there is one. */
  #take(): number {
    const { words } = this.#memory;
    const free = words[this.#free] ?? 0;
    if (free === 0) {
      const at = words[this.#unused] ?? 0;
      words[this.#unused] = at + 1;
      return at;
    }
    words[this.#free] = words[this.#next + free - 1] ?? 0;
    return free - 1;
  }

  #link(slot: number, entry: number): void {
    const { words } = this.#memory;
    if (this.#lock === undefined) words[slot] = entry;
    else Atomics.store(words, slot, entry);
  }

  /** A cell has left the chain. */
  #left(head: number): void {
    if (this.#lock !== undefined) Atomics.add(this.#memory.words, head + 1, 1);
  }

  /** What the walk ends with counts only if the version is still the same. */
  #walkShared(key: number, head: number, version: number): number {
    const { words } = this.#memory;
    let entry = Atomics.load(words, head);
    while (entry !== 0 && !this.#same(key, entry - 1)) {
      entry = Atomics.load(words, this.#next + entry - 1);
      if (Atomics.load(words, head + 1) !== version) return -1;
    }
    return entry - 1;
  }

  /** Index of the word that names the key's cell, or of the 0 behind its chain. */
  #slotOf(key: number, head: number): number {
    const { words } = this.#memory;
    let slot = head;
    for (;;) {
      const entry = words[slot] ?? 0;
      if (entry === 0 || this.#same(key, entry - 1)) return slot;
      slot = this.#next + entry - 1;
    }
  }

  #setKey(at: number, key: number, given: number): void {
    const { spec, keyStride } = this.layout;
    this.#memory.move(this.keyAddress(at), key, spec.keySize);
    if (this.layout.kind === "lpm")
      this.#memory.move(
        this.layout.given + at * keyStride,
        given,
        spec.keySize,
      );
  }

  /** Index of the word that is the head of the key's chain. */
  #head(key: number): number {
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
    hash ^= hash >>> 16;
    return this.#buckets + (hash & this.#mask) * this.#bucketWords;
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
}
