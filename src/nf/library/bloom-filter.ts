/**
 * `bloomFilter`: a set that forgets nothing; `has` may be true of a key that was
 * never added, and is never false of one that was. Written in the subset.
 *
 * Representation: an ARRAY of u64 words; hash i sets bit hash(key, i + 1) mod bits,
 * which is bit (b mod 64) of word b / 64.
 */
import { ArrayMap } from "./array-map.ts";
import { checkCapacity, type Part } from "./declaration.ts";
import { hash } from "./hash.ts";
import { u64 } from "./scalar.ts";
import type { Type, ValueOf } from "./struct.ts";

export interface BloomOptions<K extends Type> {
  readonly key: K;
  readonly bits: number;
  /** How many bits a key sets. */
  readonly hashes: number;
}

export class BloomFilter<K extends Type> {
  readonly kind = "composite";
  readonly key: K;
  readonly bits: number;
  readonly hashes: number;
  readonly words: ArrayMap<typeof u64>;
  readonly options: BloomOptions<K>;

  constructor(options: BloomOptions<K>) {
    checkCapacity("bloomFilter", options.bits);
    checkCapacity("bloomFilter", options.hashes);
    this.key = options.key;
    this.bits = options.bits;
    this.hashes = options.hashes;
    this.options = options;
    this.words = new ArrayMap({
      value: u64,
      capacity: Math.ceil(options.bits / 64),
    });
  }

  add(key: ValueOf<K>): void {
    for (let i = 0; i < this.hashes; i++) {
      const bit = hash(this.key, key, i + 1) % this.bits;
      const word = this.words.at(bit >>> 6);
      word.value = word.value | u64(1n << u64(bit & 63));
    }
  }

  has(key: ValueOf<K>): boolean {
    for (let i = 0; i < this.hashes; i++) {
      const bit = hash(this.key, key, i + 1) % this.bits;
      const word = this.words.at(bit >>> 6);
      if (((word.value >> u64(bit & 63)) & 1n) === 0n) return false;
    }
    return true;
  }

  parts(name: string): readonly Part[] {
    return [{ name, declaration: this }, ...this.words.parts(name)];
  }

  renew(): BloomFilter<K> {
    return new BloomFilter(this.options);
  }
}

/** A set that forgets nothing and may take a stranger for a member. */
export function bloomFilter<K extends Type>(
  options: BloomOptions<K>,
): BloomFilter<K> {
  return new BloomFilter(options);
}
