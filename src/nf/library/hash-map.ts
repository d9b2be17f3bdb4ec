/**
 * `hashMap`: values by key, at most `capacity` of them. In BPF a HASH; with
 * `perCpu` a PERCPU_HASH, of which a program sees its own CPU's values.
 *
 * What `get` answers is a reference: assigning its fields changes the map. It is
 * dead after an operation that may insert into or delete from the same map.
 */
import { InputError } from "../../base/index.ts";
import { cellCodecOf, codecOf, type Codec } from "./codec.ts";
import { checkCapacity, type MapEntry, type Part } from "./declaration.ts";
import { KeyIndex } from "./key-index.ts";
import type { Ref, Type, ValueOf } from "./struct.ts";

export interface HashOptions<K extends Type, V extends Type> {
  readonly key: K;
  readonly value: V;
  /** The most keys that are there at one time. */
  readonly capacity: number;
  /** What is there from the start. */
  readonly initial?: readonly (readonly [
    ValueOf<NoInfer<K>>,
    ValueOf<NoInfer<V>>,
  ])[];
}

export class HashMap<K extends Type, V extends Type> {
  readonly kind: "hash" | "percpu-hash";
  readonly key: K;
  readonly value: V;
  readonly capacity: number;
  readonly options: HashOptions<K, V>;
  readonly #codec: Codec;
  readonly #values: (Ref<V> | undefined)[] = [];
  #index: KeyIndex | undefined;

  constructor(
    options: HashOptions<K, V>,
    kind: "hash" | "percpu-hash" = "hash",
  ) {
    checkCapacity("hashMap", options.capacity);
    this.kind = kind;
    this.key = options.key;
    this.value = options.value;
    this.capacity = options.capacity;
    this.options = options;
    this.#codec = cellCodecOf(options.value);
  }

  /** A reference to the value of `key`; undefined where the key is not there. */
  get(key: ValueOf<K>): Ref<V> | undefined {
    const entry = (this.#index ?? this.#start()).find(key);
    return entry < 0 ? undefined : this.#values[entry];
  }

  has(key: ValueOf<K>): boolean {
    return (this.#index ?? this.#start()).find(key) >= 0;
  }

  /** Stores a copy of `value`; false where the key is new and the map full. */
  set(key: ValueOf<K>, value: ValueOf<V>): boolean {
    const index = this.#index ?? this.#start();
    const entry = index.find(key);
    if (entry < 0) return this.#add(index, key, value);
    this.#values[entry] = this.#copy(value);
    return true;
  }

  /** Stores a copy of `value`; false where the key is there or the map full. */
  insert(key: ValueOf<K>, value: ValueOf<V>): boolean {
    const index = this.#index ?? this.#start();
    return index.find(key) < 0 && this.#add(index, key, value);
  }

  /** False where the key was not there. */
  delete(key: ValueOf<K>): boolean {
    const entry = (this.#index ?? this.#start()).remove(key);
    if (entry < 0) return false;
    this.#values[entry] = undefined;
    return true;
  }

  parts(name: string): readonly Part[] {
    return [{ name, declaration: this }];
  }

  renew(): HashMap<K, V> {
    return new HashMap(this.options, this.kind);
  }

  dump(): readonly MapEntry[] {
    const index = this.#index ?? this.#start();
    const keys = codecOf(this.key);
    return Array.from(index.entries(), (entry) => {
      const key = new Uint8Array(this.key.size);
      const value = new Uint8Array(this.value.size);
      keys.encode(key, 0, index.keyOf(entry));
      this.#codec.encode(value, 0, this.#values[entry]);
      return { key, value };
    });
  }

  #add(index: KeyIndex, key: ValueOf<K>, value: ValueOf<V>): boolean {
    if (index.size >= this.capacity) return false;
    const copy = this.#copy(value);
    this.#values[index.add(key)] = copy;
    return true;
  }

  #copy(value: ValueOf<V>): Ref<V> {
    return this.#codec.clone(value) as Ref<V>;
  }

  #start(): KeyIndex {
    const index = new KeyIndex(codecOf(this.key));
    this.#index = index;
    for (const [key, value] of this.options.initial ?? [])
      if (!this.set(key, value)) throw tooMany(this.capacity);
    return index;
  }
}

export function tooMany(capacity: number): InputError {
  return new InputError(
    `more initial contents than the capacity of ${capacity}`,
    { code: "nf-initial", fix: "raise the capacity" },
  );
}
