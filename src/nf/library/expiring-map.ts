/**
 * An expiring map: a hashMap whose entries live while they are used. Written in
 * the subset.
 *
 * Representation: a HASH `NAME` of the value's fields and a u32 `index`, and a
 * chain `NAME_chain` (see `chain.ts`) whose cell index + 1 has the entry's time and
 * key. Expiry is lazy and cannot be told from expiry before every use: an expired
 * entry is a miss for each look-up, stays in the HASH until its key is inserted
 * again or its place is needed, and the oldest is the one reclaimed.
 *
 * Law: keys in the HASH and allocated cells correspond one to one.
 */
import { min } from "./arithmetic.ts";
import type { Part } from "./declaration.ts";
import { Chain } from "./chain.ts";
import { now } from "./clock.ts";
import { HashMap, type HashOptions } from "./hash-map.ts";
import { u32 } from "./scalar.ts";
import {
  indexedType,
  type IndexedType,
  type Ref,
  type Type,
  type ValueOf,
} from "./struct.ts";
import { copy, copyMember, zero } from "./value.ts";

export interface ExpiringOptions<
  K extends Type,
  V extends Type,
> extends HashOptions<K, V> {
  /** Nanoseconds after its last use at which an entry is gone. */
  readonly expireAfter: bigint;
  /** What an insert into a full map does where nothing has expired. */
  readonly onFull?: "refuse" | "evict-oldest";
}

/** A live entry: a reference to its value, with its dense index. */
export type Entry<V extends Type> = Ref<V> & { index: number };

export class ExpiringMap<K extends Type, V extends Type> {
  readonly kind = "composite";
  readonly key: K;
  readonly value: V;
  readonly capacity: number;
  readonly options: ExpiringOptions<K, V>;
  readonly entries: HashMap<K, IndexedType<V>>;
  readonly chain: Chain<K>;

  constructor(options: ExpiringOptions<K, V>) {
    const { key, value, capacity } = options;
    this.key = key;
    this.value = value;
    this.capacity = capacity;
    this.options = options;
    const type = indexedType(`${value.name}_entry`, value, u32);
    this.entries = new HashMap({ key, value: type, capacity });
    this.chain = new Chain({
      capacity,
      expireAfter: options.expireAfter,
      evictOldest: options.onFull === "evict-oldest",
      entries: this.entries,
    });
  }

  /** The live entry of `key`. Looking is no use of it: see `refresh`. */
  get(key: ValueOf<K>): Entry<V> | undefined {
    const entry = this.entries.get(key);
    if (entry === undefined) return undefined;
    if (!this.chain.isAlive(entry.index, now())) return undefined;
    return entry;
  }

  has(key: ValueOf<K>): boolean {
    return this.get(key) !== undefined;
  }

  /** The entry is in use: it lives from now for `expireAfter`. */
  refresh(entry: Entry<V>): void {
    this.chain.refresh(entry.index, now());
  }

  /** Stores a copy of `value`; false where the key is there or the map full. */
  insert(key: ValueOf<K>, value: ValueOf<V>): boolean {
    const old = this.entries.get(key);
    if (old !== undefined) {
      if (this.chain.isAlive(old.index, now())) return false;
      copy(this.value, old, value);
      this.chain.refresh(old.index, now());
      return true;
    }
    const number = this.chain.allocate(now());
    if (number === 0) return false;
    const cell = this.chain.cells.get(number);
    if (cell === undefined) return false;
    copyMember(this.key, cell, "key", key);
    const entry = zero(this.entries.value);
    copy(this.value, entry, value);
    entry.index = number - 1;
    if (this.entries.set(key, entry)) return true;
    this.chain.free(number - 1);
    return false;
  }

  /** The live entry of `key`, made of a copy of `value` where there is none; undefined: full. */
  getOrInsert(key: ValueOf<K>, value: ValueOf<V>): Entry<V> | undefined {
    let entry = this.get(key);
    if (entry === undefined) {
      if (!this.insert(key, value)) return undefined;
      entry = this.entries.get(key);
    }
    return entry;
  }

  /** False where the key was not there; an expired entry may still be there. */
  delete(key: ValueOf<K>): boolean {
    const entry = this.entries.get(key);
    if (entry === undefined) return false;
    this.chain.free(entry.index);
    return this.entries.delete(key);
  }

  /** The entry's index: 0 … capacity − 1, of no other live entry. */
  indexOf(entry: Entry<V>): number {
    // So that it is proved: an array of as many cells takes it in `at`.
    return min(entry.index, this.capacity - 1);
  }

  /** Has a live entry this index? */
  isAlive(index: number): boolean {
    return this.chain.live(index, now()) !== undefined;
  }

  /** The live entry with this index. */
  entryAt(index: number): Entry<V> | undefined {
    const cell = this.chain.live(index, now());
    if (cell === undefined) return undefined;
    return this.entries.get(cell.key);
  }

  /** The key of the live entry with this index. */
  keyAt(index: number): ValueOf<K> | undefined {
    const cell = this.chain.live(index, now());
    if (cell === undefined) return undefined;
    return cell.key;
  }

  parts(name: string): readonly Part[] {
    return [
      { name, declaration: this },
      ...this.entries.parts(name),
      ...this.chain.parts(`${name}_chain`),
    ];
  }

  renew(): ExpiringMap<K, V> {
    return new ExpiringMap(this.options);
  }
}

/** Values by key that live while they are used. */
export function hashMap<K extends Type, V extends Type>(
  options: ExpiringOptions<K, V>,
): ExpiringMap<K, V>;
/** Values by key. */
export function hashMap<K extends Type, V extends Type>(
  options: HashOptions<K, V> & { readonly expireAfter?: undefined },
): HashMap<K, V>;
export function hashMap<K extends Type, V extends Type>(
  options:
    | ExpiringOptions<K, V>
    | (HashOptions<K, V> & { readonly expireAfter?: undefined }),
): ExpiringMap<K, V> | HashMap<K, V> {
  return options.expireAfter === undefined
    ? new HashMap(options)
    : new ExpiringMap(options);
}
