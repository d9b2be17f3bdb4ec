/**
 * lpm_trie: the longest stored prefix of a key, as a hash of (length, masked data)
 * tried from the key's own length down. No trie, and plainly right; programs with
 * few distinct lengths pay one hash lookup each.
 *
 * In shared memory a lookup holds no lock. Each length is looked up rightly by
 * table-map.ts; that all are looked up in one set of keys, the map's version tells: it
 * counts the keys that came and went. Each change is one step of the table, so a
 * lookup that overlaps one but sees no count saw the set before or after it.
 *
 * A key is a u32 length in bits, then data. Source: kernel/bpf/lpm_trie.c.
 */
import { Bug } from "../../base/index.ts";
import {
  longestPrefix,
  mapState,
  scratchSize,
  type MapLayout,
} from "../../codegen/index.ts";
import { errno } from "../../interp/index.ts";
import { updateFlag, type CellValues } from "./cell-values.ts";
import type { MapLock } from "./map-lock.ts";
import type { MemoryView } from "./memory-view.ts";
import { TableMap } from "./table-map.ts";

/** Lookups that may see the set of keys change before the lock is taken. */
const attempts = 16;

export class PrefixMap {
  readonly layout: MapLayout;
  readonly #memory: MemoryView;
  readonly #lock: MapLock | undefined;
  readonly #table: TableMap;
  readonly #longest: number;
  // Indices of words.
  readonly #lengths: number;
  readonly #version: number;

  constructor(
    memory: MemoryView,
    layout: MapLayout,
    lock: MapLock | undefined,
  ) {
    if (layout.spec.keySize > scratchSize)
      throw new Bug(`LPM key of ${layout.spec.keySize} bytes`);
    this.layout = layout;
    this.#memory = memory;
    this.#lock = lock;
    this.#table = new TableMap(memory, layout, lock);
    this.#longest = longestPrefix(layout.spec);
    this.#lengths = layout.lengths >>> 2;
    this.#version = (layout.state + mapState.version) >>> 2;
  }

  get values(): CellValues {
    return this.#table.values;
  }
  get size(): number {
    return this.#table.size;
  }

  find(key: number): number {
    const lock = this.#lock;
    if (this.#memory.u32(key) > this.#longest) return -1;
    if (lock === undefined) return this.#search(key, true);
    const { words } = this.#memory;
    for (let attempt = 0; attempt < attempts; attempt++) {
      const version = Atomics.load(words, this.#version);
      const at = this.#search(key, false);
      if (Atomics.load(words, this.#version) === version) return at;
    }
    lock.take();
    const at = this.#search(key, true);
    lock.release();
    return at;
  }

  lookup(key: number): number {
    const at = this.find(key);
    return at < 0 ? 0 : this.values.address(at, 0);
  }

  update(key: number, flags: number): number {
    if (flags >>> 0 > updateFlag.exist) return -errno.EINVAL;
    const length = this.#memory.u32(key);
    if (length > this.#longest) return -errno.EINVAL;
    const masked = this.#masked(key, length);
    this.#lock?.take();
    const { size } = this.#table;
    const count = this.#lengths + length;
    const { words } = this.#memory;
    // Counted before it is there, so that nobody passes it by.
    words[count] = (words[count] ?? 0) + 1;
    const answer = this.#table.change(masked, flags, key);
    if (this.#table.size === size) words[count] = (words[count] ?? 0) - 1;
    else this.#changed();
    this.#lock?.release();
    return answer === -errno.E2BIG ? -errno.ENOSPC : answer;
  }

  remove(key: number): number {
    const length = this.#memory.u32(key);
    if (length > this.#longest) return -errno.EINVAL;
    const masked = this.#masked(key, length);
    this.#lock?.take();
    const answer = this.#table.drop(masked);
    if (answer === 0) {
      const { words } = this.#memory;
      const count = this.#lengths + length;
      words[count] = (words[count] ?? 0) - 1;
      this.#changed();
    }
    this.#lock?.release();
    return answer;
  }

  cells(): readonly number[] {
    return this.#table.cells();
  }
  inOrder(): readonly number[] {
    return this.#table.inOrder();
  }
  calmly<T>(run: () => T): T {
    return this.#table.calmly(run);
  }
  locate(key: number): number {
    if (this.#memory.u32(key) > this.#longest) return -1;
    return this.#search(key, true);
  }
  keyAddress(at: number): number {
    return this.layout.given + at * this.layout.keyStride;
  }

  #changed(): void {
    if (this.#lock !== undefined)
      Atomics.add(this.#memory.words, this.#version, 1);
  }

  #search(key: number, locked: boolean): number {
    const { words } = this.#memory;
    const length = this.#memory.u32(key);
    for (let shorter = length; shorter >= 0; shorter--) {
      if (words[this.#lengths + shorter] === 0) continue;
      const masked = this.#masked(key, shorter);
      const at = locked ? this.#table.locate(masked) : this.#table.find(masked);
      if (at >= 0) return at;
    }
    return -1;
  }

  /** Puts the key's first `length` bits into the scratch cell. */
  #masked(key: number, length: number): number {
    const { bytes } = this.#memory;
    const { keySize } = this.layout.spec;
    const to = this.#memory.cell.scratch;
    bytes.copyWithin(to, key, key + keySize);
    this.#memory.setU32(to, length);
    for (let index = length >>> 3; index < keySize - 4; index++) {
      const bits = Math.max(0, length - 8 * index);
      bytes[to + 4 + index] = (bytes[to + 4 + index] ?? 0) & (0xff00 >> bits);
    }
    return to;
  }
}
