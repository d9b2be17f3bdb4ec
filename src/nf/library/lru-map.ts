/**
 * `lruMap`: as a hashMap, but never full: a new key takes the place of the one
 * whose last use (`get`, `has` or `set`) is longest ago. In BPF an LRU_HASH.
 *
 * Eviction here is exact, as it is in the interpreter. The kernel keeps lists per
 * CPU and approximates use by a bit: which key goes is not promised there.
 */
import { cellCodecOf, codecOf, type Codec } from "./codec.ts";
import { checkCapacity, type MapEntry, type Part } from "./declaration.ts";
import type { HashOptions } from "./hash-map.ts";
import { KeyIndex } from "./key-index.ts";
import type { Ref, Type, ValueOf } from "./struct.ts";

export class LruMap<K extends Type, V extends Type> {
  readonly kind = "lru-hash";
  readonly key: K;
  readonly value: V;
  readonly capacity: number;
  readonly options: HashOptions<K, V>;
  readonly #codec: Codec;
  readonly #values: (Ref<V> | undefined)[] = [];
  #index: KeyIndex | undefined;
  // A ring by entry + 1 through 0: newer[0] is the oldest, older[0] the newest.
  readonly #newer: number[] = [0];
  readonly #older: number[] = [0];

  constructor(options: HashOptions<K, V>) {
    checkCapacity("lruMap", options.capacity);
    this.key = options.key;
    this.value = options.value;
    this.capacity = options.capacity;
    this.options = options;
    this.#codec = cellCodecOf(options.value);
  }

  /** A reference to the value of `key`; undefined where the key is not there. */
  get(key: ValueOf<K>): Ref<V> | undefined {
    const entry = (this.#index ?? this.#start()).find(key);
    if (entry < 0) return undefined;
    this.#touch(entry + 1);
    return this.#values[entry];
  }

  has(key: ValueOf<K>): boolean {
    return this.get(key) !== undefined;
  }

  /** Stores a copy of `value`; always true. */
  set(key: ValueOf<K>, value: ValueOf<V>): boolean {
    const copy = this.#codec.clone(value) as Ref<V>;
    const index = this.#index ?? this.#start();
    const entry = index.find(key);
    if (entry < 0) return this.#add(index, key, copy);
    this.#touch(entry + 1);
    this.#values[entry] = copy;
    return true;
  }

  /** Stores a copy of `value`; false where the key is there, which is no use of it. */
  insert(key: ValueOf<K>, value: ValueOf<V>): boolean {
    const index = this.#index ?? this.#start();
    if (index.find(key) >= 0) return false;
    return this.#add(index, key, this.#codec.clone(value) as Ref<V>);
  }

  /** False where the key was not there. */
  delete(key: ValueOf<K>): boolean {
    const entry = (this.#index ?? this.#start()).remove(key);
    if (entry < 0) return false;
    this.#forget(entry);
    return true;
  }

  parts(name: string): readonly Part[] {
    return [{ name, declaration: this }];
  }

  renew(): LruMap<K, V> {
    return new LruMap(this.options);
  }

  /** In order of last use. */
  dump(): readonly MapEntry[] {
    const index = this.#index ?? this.#start();
    const keys = codecOf(this.key);
    const entries: MapEntry[] = [];
    for (let at = this.#newer[0] ?? 0; at !== 0; at = this.#newer[at] ?? 0) {
      const key = new Uint8Array(this.key.size);
      const value = new Uint8Array(this.value.size);
      keys.encode(key, 0, index.keyOf(at - 1));
      this.#codec.encode(value, 0, this.#values[at - 1]);
      entries.push({ key, value });
    }
    return entries;
  }

  #add(index: KeyIndex, key: ValueOf<K>, value: Ref<V>): boolean {
    if (index.size >= this.capacity) {
      const oldest = (this.#newer[0] ?? 0) - 1;
      index.removeEntry(oldest);
      this.#forget(oldest);
    }
    const entry = index.add(key);
    this.#values[entry] = value;
    this.#append(entry + 1);
    return true;
  }

  #forget(entry: number): void {
    this.#values[entry] = undefined;
    this.#unlink(entry + 1);
  }

  #touch(at: number): void {
    if (this.#older[0] === at) return;
    this.#unlink(at);
    this.#append(at);
  }

  #unlink(at: number): void {
    const [older, newer] = [this.#older[at] ?? 0, this.#newer[at] ?? 0];
    this.#newer[older] = newer;
    this.#older[newer] = older;
  }

  #append(at: number): void {
    const newest = this.#older[0] ?? 0;
    this.#newer[newest] = at;
    this.#older[at] = newest;
    this.#newer[at] = 0;
    this.#older[0] = at;
  }

  #start(): KeyIndex {
    const index = new KeyIndex(codecOf(this.key));
    this.#index = index;
    for (const [key, value] of this.options.initial ?? []) this.set(key, value);
    return index;
  }
}

/** Values by key; a full map makes room by dropping the key unused for longest. */
export function lruMap<K extends Type, V extends Type>(
  options: HashOptions<K, V>,
): LruMap<K, V> {
  return new LruMap(options);
}
