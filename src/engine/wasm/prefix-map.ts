/**
 * lpm_trie: the longest stored prefix of a key, as a hash of (length, masked data)
 * tried from the key's own length down. No trie, and plainly right; programs with
 * few distinct lengths pay one hash lookup each.
 *
 * A key is a u32 length in bits, then data. Source: kernel/bpf/lpm_trie.c.
 */
import { scratchSize, type MapLayout } from "../../codegen/index.ts";
import { Bug } from "../../base/index.ts";
import { errno } from "../../interp/index.ts";
import type { MemoryView } from "./memory-view.ts";
import { TableMap, updateFlag } from "./table-map.ts";

export class PrefixMap {
  readonly layout: MapLayout;
  fresh = false;
  readonly #memory: MemoryView;
  readonly #table: TableMap;
  readonly #longest: number;
  /** How many elements each length has. */
  readonly #lengths: Int32Array;
  /** By cell: the key as it was given, unmasked. */
  readonly #given: Uint8Array[] = [];

  constructor(memory: MemoryView, layout: MapLayout) {
    if (layout.spec.keySize > scratchSize)
      throw new Bug(`LPM key of ${layout.spec.keySize} bytes`);
    this.layout = layout;
    this.#memory = memory;
    this.#table = new TableMap(memory, layout);
    this.#longest = Math.max(0, 8 * (layout.spec.keySize - 4));
    this.#lengths = new Int32Array(this.#longest + 1);
  }

  find(key: number): number {
    const length = this.#memory.u32(key);
    if (length > this.#longest) return -1;
    for (let shorter = length; shorter >= 0; shorter--) {
      if (this.#lengths[shorter] === 0) continue;
      const at = this.#table.find(this.#masked(key, shorter));
      if (at >= 0) return at;
    }
    return -1;
  }

  used(): void {}

  lookup(key: number): number {
    const at = this.find(key);
    return at < 0 ? 0 : this.layout.values + at * this.layout.stride;
  }

  claim(key: number, flags: number): number {
    this.fresh = false;
    if (flags > updateFlag.exist) return -errno.EINVAL;
    const length = this.#memory.u32(key);
    if (length > this.#longest) return -errno.EINVAL;
    const masked = this.#masked(key, length);
    const isNew = this.#table.find(masked) < 0;
    if (isNew && this.#table.size >= this.layout.capacity) return -errno.ENOSPC;
    const at = this.#table.claim(masked, flags);
    if (at < 0) return at;
    this.fresh = this.#table.fresh;
    if (isNew) this.#lengths[length] = (this.#lengths[length] ?? 0) + 1;
    this.#given[at] = this.#memory.copy(key, this.layout.spec.keySize);
    return at;
  }

  remove(key: number): number {
    const length = this.#memory.u32(key);
    if (length > this.#longest) return -errno.EINVAL;
    const answer = this.#table.remove(this.#masked(key, length));
    if (answer === 0) this.#lengths[length] = (this.#lengths[length] ?? 1) - 1;
    return answer;
  }

  cells(): Iterable<number> {
    return this.#table.cells();
  }
  inOrder(): Iterable<number> {
    return this.#table.cells();
  }
  keyAddress(at: number): number {
    return this.#table.keyAddress(at);
  }
  givenKey(at: number): Uint8Array {
    return this.#given[at] ?? new Uint8Array(this.layout.spec.keySize);
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
