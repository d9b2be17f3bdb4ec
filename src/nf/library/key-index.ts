/**
 * Keys to entry numbers, by the keys' bytes: what the maps stand on.
 *
 * Open addressing with linear probing over words, at most half full; a removal
 * shifts back what probed past it, so that there are no tombstones. Two keys are
 * the same exactly when their bytes in memory are. Entry numbers are dense: a
 * removed one is given out again first.
 *
 *   slots[hash & mask] → entry + 1, 0 empty;   words[entry × width …] → key
 */
import type { Codec } from "./codec.ts";

export class KeyIndex {
  readonly #codec: Codec;
  readonly #width: number;
  readonly #bytes: Uint8Array;
  readonly #key: Uint32Array;
  #words: Uint32Array;
  #hashes: Int32Array;
  #slots: Int32Array;
  #mask: number;
  #free: number[] = [];
  /** Entries from here on were never used. */
  #next = 0;

  constructor(codec: Codec) {
    this.#codec = codec;
    this.#width = Math.max(1, Math.ceil(codec.size / 4));
    this.#key = new Uint32Array(this.#width);
    this.#bytes = new Uint8Array(this.#key.buffer);
    this.#words = new Uint32Array(8 * this.#width);
    this.#hashes = new Int32Array(8);
    this.#slots = new Int32Array(16);
    this.#mask = 15;
  }

  get size(): number {
    return this.#next - this.#free.length;
  }

  /** The entry of a key, or −1. */
  find(key: unknown): number {
    this.#codec.encode(this.#bytes, 0, key);
    return this.#entryAt(this.#probe(this.#hash()));
  }

  /** A new entry for a key that is not there. */
  add(key: unknown): number {
    if (2 * (this.size + 1) > this.#slots.length) this.#grow();
    this.#codec.encode(this.#bytes, 0, key);
    const hash = this.#hash();
    const entry = this.#free.pop() ?? this.#next++;
    if (entry >= this.#hashes.length) this.#widen();
    this.#slots[this.#probe(hash)] = entry + 1;
    this.#hashes[entry] = hash;
    this.#words.set(this.#key, entry * this.#width);
    return entry;
  }

  /** The entry that the key had, or −1. */
  remove(key: unknown): number {
    this.#codec.encode(this.#bytes, 0, key);
    const slot = this.#probe(this.#hash());
    const entry = this.#entryAt(slot);
    if (entry >= 0) this.#vacate(slot, entry);
    return entry;
  }

  removeEntry(entry: number): void {
    this.#key.set(this.#wordsOf(entry));
    this.#vacate(this.#probe(this.#hash()), entry);
  }

  keyOf(entry: number): unknown {
    this.#key.set(this.#wordsOf(entry));
    return this.#codec.decode(this.#bytes, 0);
  }

  /** Every entry that is in use. */
  *entries(): Iterable<number> {
    const free = new Set(this.#free);
    for (let entry = 0; entry < this.#next; entry++)
      if (!free.has(entry)) yield entry;
  }

  #wordsOf(entry: number): Uint32Array {
    const at = entry * this.#width;
    return this.#words.subarray(at, at + this.#width);
  }

  #hash(): number {
    let h = 0;
    for (let i = 0; i < this.#width; i++) {
      h = Math.imul(h ^ (this.#key[i] ?? 0), 0x9e3779b1);
      h ^= h >>> 15;
    }
    return h | 0;
  }

  /** The slot of the key, or the empty one where it would go. */
  #probe(hash: number): number {
    const slots = this.#slots;
    const mask = this.#mask;
    let slot = hash & mask;
    for (;;) {
      const entry = (slots[slot] ?? 0) - 1;
      if (entry < 0) return slot;
      if (this.#hashes[entry] === hash && this.#holds(entry)) return slot;
      slot = (slot + 1) & mask;
    }
  }

  #holds(entry: number): boolean {
    const at = entry * this.#width;
    for (let i = 0; i < this.#width; i++)
      if (this.#words[at + i] !== this.#key[i]) return false;
    return true;
  }

  #entryAt(slot: number): number {
    return (this.#slots[slot] ?? 0) - 1;
  }

  #vacate(slot: number, entry: number): void {
    const slots = this.#slots;
    const mask = this.#mask;
    this.#free.push(entry);
    let hole = slot;
    for (let at = (slot + 1) & mask; ; at = (at + 1) & mask) {
      const held = slots[at] ?? 0;
      if (held === 0) break;
      const home = (this.#hashes[held - 1] ?? 0) & mask;
      // May it move back to the hole: is the hole between its home and here?
      if (((at - home) & mask) < ((at - hole) & mask)) continue;
      slots[hole] = held;
      hole = at;
    }
    slots[hole] = 0;
  }

  #grow(): void {
    const old = this.#slots;
    this.#slots = new Int32Array(2 * old.length);
    this.#mask = this.#slots.length - 1;
    for (const held of old) {
      if (held === 0) continue;
      let slot = (this.#hashes[held - 1] ?? 0) & this.#mask;
      while (this.#slots[slot] !== 0) slot = (slot + 1) & this.#mask;
      this.#slots[slot] = held;
    }
  }

  #widen(): void {
    const hashes = new Int32Array(2 * this.#hashes.length);
    hashes.set(this.#hashes);
    this.#hashes = hashes;
    const words = new Uint32Array(2 * this.#words.length);
    words.set(this.#words);
    this.#words = words;
  }
}
