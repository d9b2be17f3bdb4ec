/**
 * All maps of a program, with their contents: the state that runs read and change.
 *
 * Reads and writes here are user space's: per-CPU values are all CPUs' copies in a
 * row, each rounded up to 8 bytes, and errors are negated error numbers as bpf(2)
 * gives them. `clone` is cheap: sides share what neither has changed since.
 */
import { Bug, InputError, toHex } from "../base/index.ts";
import type { MapSpec, MapTypeName } from "../isa/index.ts";
import { ArrayStore, indexKey, indexOf } from "./array-store.ts";
import { CellStore, updateFlag, type MapEntry } from "./cell-store.ts";
import { DeviceStore } from "./device-store.ts";
import { errno } from "./errno.ts";
import { Fingerprint } from "./fingerprint.ts";
import { HashStore } from "./hash-store.ts";
import { LpmStore } from "./lpm-store.ts";
import { Layout, mapHandleBase } from "./memory.ts";
import {
  BloomStore,
  EventStore,
  ForeignStore,
  LinkStore,
  QueueStore,
  type Target,
} from "./other-stores.ts";

export type Store =
  CellStore | QueueStore | BloomStore | LinkStore | EventStore | ForeignStore;

export interface StateOptions {
  /** CPUs that per-CPU maps have copies for. Default 8. */
  readonly cpus?: number;
  /** Capacities to use instead of the declared ones, by map name. */
  readonly capacity?: Readonly<Record<string, number>>;
  /** First contents by map name, as user space writes them. */
  readonly contents?: Readonly<Record<string, readonly MapEntry[]>>;
}

export function createState(
  maps: readonly MapSpec[],
  options: StateOptions = {},
): State {
  const state = State.of(options.cpus ?? 8);
  for (const map of maps) state.add(map, options.capacity?.[map.name]);
  for (const map of maps)
    for (const { index, target } of map.values ?? [])
      state.link(map.name, indexKey(index), target);
  for (const [name, entries] of Object.entries(options.contents ?? {}))
    state.load(name, entries);
  return state;
}

const handleStride = 16;

export class State {
  readonly cpus: number;
  readonly layout: Layout;
  readonly #stores: Store[];
  readonly #numbers: Map<string, number>;

  private constructor(
    cpus: number,
    layout: Layout,
    stores: Store[],
    numbers: Map<string, number>,
  ) {
    this.cpus = cpus;
    this.layout = layout;
    this.#stores = stores;
    this.#numbers = numbers;
  }

  static of(cpus: number): State {
    return new State(cpus, new Layout(), [], new Map());
  }

  get maps(): readonly MapSpec[] {
    return this.#stores.map((store) => store.spec);
  }
  get stores(): readonly Store[] {
    return this.#stores;
  }

  /** Adds an empty map; its address and those of its values stay fixed. */
  add(spec: MapSpec, capacity = spec.maxEntries || this.cpus): void {
    if (this.#numbers.has(spec.name))
      throw new InputError(`two maps are called ${spec.name}`, {
        code: "map-name-twice",
      });
    const store = makers[spec.type](spec, capacity, this.cpus);
    if (store.kind === "cells")
      store.region = this.layout.reserve(store.cells.space, `map ${spec.name}`);
    this.#numbers.set(spec.name, this.#stores.length);
    this.#stores.push(store);
  }

  has(map: string): boolean {
    return this.#numbers.has(map);
  }
  numberOf(map: string): number {
    const number = this.#numbers.get(map);
    if (number === undefined)
      throw new InputError(`no map is called ${map}`, {
        code: "map-unknown",
        kind: "usage",
      });
    return number;
  }
  store(map: string): Store {
    const store = this.#stores[this.numberOf(map)];
    if (store === undefined) throw new Bug(`map ${map} has no store`);
    return store;
  }

  /** The address that stands for the map itself. */
  handleOf(map: string): number {
    return mapHandleBase + this.numberOf(map) * handleStride;
  }
  byHandle(address: number): Store | undefined {
    return this.#stores[(address - mapHandleBase) / handleStride];
  }

  lookup(map: string, key: Uint8Array): Uint8Array | undefined {
    const store = this.store(map);
    if (store.kind === "queue") return store.peek()?.slice();
    if (store.kind === "bloom") return store.has(key) ? key : undefined;
    if (store.kind === "links") {
      const target = store.get(exactly(key, store.spec.keySize, store.spec));
      return target && new TextEncoder().encode(target.name);
    }
    const cells = cellsOf(store);
    const cell = cells.find(exactly(key, store.spec.keySize, store.spec));
    return cell < 0 ? undefined : cells.read(cell);
  }

  /** 0 or a negated error number. */
  update(map: string, key: Uint8Array, value: Uint8Array, flags = 0): number {
    const store = this.store(map);
    if (store.kind === "queue" || store.kind === "bloom")
      return store.push(
        exactly(value, store.spec.valueSize, store.spec).slice(),
        flags,
      );
    if (store.kind === "links")
      return this.#hold(
        store,
        exactly(key, store.spec.keySize, store.spec),
        new TextDecoder().decode(value),
        flags,
      );
    if ((flags & updateFlag.lock) !== 0 && !cellsOf(store).hasLock)
      return -errno.EINVAL;
    return cellsOf(store).updateAll(
      exactly(key, store.spec.keySize, store.spec),
      exactly(value, this.elementSize(map), store.spec),
      flags,
    );
  }

  /** Bytes of a value as user space sees it: all CPUs' copies in a row. */
  elementSize(map: string): number {
    const store = this.store(map);
    return store.kind === "cells" && store.copies > 1
      ? store.copies * store.cells.stride
      : store.spec.valueSize;
  }
  /** Distance between CPUs' copies in such a value; where there is one copy, its size. */
  copyStride(map: string): number {
    const store = this.store(map);
    return store.kind === "cells" && store.copies > 1
      ? store.cells.stride
      : Math.max(1, store.spec.valueSize);
  }

  delete(map: string, key: Uint8Array): number {
    const store = this.store(map);
    if (store.kind === "links") return store.remove(key);
    if (store.kind === "queue") return -errno.EINVAL;
    if (store.kind === "bloom") return -errno.EOPNOTSUPP;
    return cellsOf(store).remove(exactly(key, store.spec.keySize, store.spec));
  }

  /** As user space does it, which names what it puts in. */
  #hold(
    store: LinkStore,
    key: Uint8Array,
    name: string,
    flags: number,
  ): number {
    const kind = store.spec.type === "prog_array" ? "function" : "map";
    const { inner } = store.spec;
    if (kind === "map" && !this.has(name)) {
      if (inner === undefined) this.numberOf(name);
      else this.add({ ...inner, name });
    }
    return store.set(key, { kind, name }, flags);
  }

  /** Sets an element of a program array or a map of maps. */
  link(map: string, key: Uint8Array, target: Target | MapSpec): void {
    const store = this.store(map);
    if (store.kind !== "links")
      throw new InputError(`${map} holds neither maps nor programs`, {
        code: "map-holds-no-links",
      });
    if (!("kind" in target)) {
      if (!this.has(target.name)) this.add(target);
      store.set(key, { kind: "map", name: target.name });
      return;
    }
    const { inner } = store.spec;
    if (target.kind === "map" && !this.has(target.name) && inner !== undefined)
      this.add({ ...inner, name: target.name });
    store.set(key, target);
  }

  /** Takes the next value out of a queue or stack. */
  pop(map: string): Uint8Array | undefined {
    const store = this.store(map);
    return store.kind === "queue" ? store.pop() : undefined;
  }

  load(map: string, entries: readonly MapEntry[]): void {
    const store = this.store(map);
    for (const { key, value } of entries) {
      if (store.kind === "bloom" && key.length === 4) {
        for (const [at, byte] of value.entries())
          store.set(8 * indexOf(key) + at, byte);
        continue;
      }
      const answer = this.update(map, key, value);
      if (answer < 0)
        throw new InputError(
          `map ${map}: initial element ${toHex(key)} is refused (error ${-answer})`,
          { code: "map-contents-refused" },
        );
    }
  }

  /**
   * Every element, sorted by key bytes. Values of queues have their position (the
   * oldest is 0) as key; a bloom filter shows its bits by words of 8 bytes, those that
   * are not zero; maps of maps and program arrays show names.
   */
  entries(map: string): readonly MapEntry[] {
    const store = this.store(map);
    switch (store.kind) {
      case "cells": {
        const all = [...store.keys()].map(([key, cell]) => ({
          key,
          value: store.read(cell),
        }));
        return store instanceof ArrayStore ? all : all.sort(byKey);
      }
      case "queue":
        return store.values.map((value, index) => ({
          key: indexKey(index),
          value: value.slice(),
        }));
      case "bloom":
        return wordsOf(store.bits);
      case "links":
        return [...store.targets()]
          .map(({ key, target }) => ({
            key,
            value: new TextEncoder().encode(target.name),
          }))
          .sort(byKey);
      case "events":
      case "foreign":
        return [];
    }
  }

  /**
   * The same for equal contents, whatever the order of insertion. Read-only maps
   * count; cells of arrays that are all zero do not, so that size says nothing.
   */
  digest(maps: readonly string[] = this.maps.map(({ name }) => name)): string {
    const sum = new Fingerprint();
    for (const name of maps) {
      const store = this.store(name);
      const label = new TextEncoder().encode(name);
      if (store instanceof ArrayStore) {
        for (let cell = 0; cell < store.capacity; cell++) {
          if (store.cells.untouched(cell)) continue;
          const value = store.read(cell);
          if (value.some((byte) => byte !== 0))
            sum.add(label, store.keyOf(cell), value);
        }
      } else
        for (const { key, value } of this.entries(name))
          sum.add(label, key, value);
    }
    return sum.text();
  }

  clone(): State {
    return this.#cloned((store) => store.clone());
  }

  /**
   * A clone of which `maps` are those of `other` itself: what one writes, both see. Both
   * states have the same maps, of which these have one capacity.
   */
  cloneSharing(other: State, maps: ReadonlySet<string>): State {
    return this.#cloned((store) =>
      maps.has(store.spec.name) ? other.store(store.spec.name) : store.clone(),
    );
  }

  #cloned(cloneOf: (store: Store) => Store): State {
    return new State(
      this.cpus,
      this.layout,
      this.#stores.map(cloneOf),
      new Map(this.#numbers),
    );
  }
}

function wordsOf(bits: Uint8Array): readonly MapEntry[] {
  const entries: MapEntry[] = [];
  for (let at = 0; at < bits.length; at += 8) {
    const value = bits.slice(at, at + 8);
    if (value.some((byte) => byte !== 0))
      entries.push({ key: indexKey(at / 8), value });
  }
  return entries;
}

function byKey(left: MapEntry, right: MapEntry): number {
  for (let index = 0; index < left.key.length; index++) {
    const difference = (left.key[index] ?? 0) - (right.key[index] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}

function cellsOf(store: Store): CellStore {
  if (store.kind === "cells") return store;
  throw new InputError(
    `${store.spec.name}: a ${store.spec.type} has no values to read or write`,
    { code: "map-has-no-values" },
  );
}

function exactly(bytes: Uint8Array, size: number, spec: MapSpec): Uint8Array {
  if (bytes.length === size) return bytes;
  throw new InputError(
    `${spec.name}: ${size} bytes expected, but ${bytes.length} given`,
    { code: "map-element-size" },
  );
}

type Maker = (spec: MapSpec, capacity: number, cpus: number) => Store;
const hash: Maker = (spec, capacity) => new HashStore(spec, capacity, 1);
const devices: Maker = (spec, capacity) => new DeviceStore(spec, capacity, 1);
const array: Maker = (spec, capacity) => new ArrayStore(spec, capacity, 1);
const links: Maker = (spec, capacity) => new LinkStore(spec, capacity);
const events: Maker = (spec, capacity) => new EventStore(spec, capacity);
const queue: Maker = (spec, capacity) => new QueueStore(spec, capacity);
const foreign: Maker = (spec) => new ForeignStore(spec);

// prettier-ignore
const makers: Readonly<Record<MapTypeName, Maker>> = {
  unspec: foreign,
  hash,
  array,
  prog_array: links,
  perf_event_array: events,
  percpu_hash: (spec, capacity, cpus) => new HashStore(spec, capacity, cpus),
  percpu_array: (spec, capacity, cpus) => new ArrayStore(spec, capacity, cpus),
  stack_trace: foreign,
  cgroup_array: foreign,
  lru_hash: hash,
  lru_percpu_hash: (spec, capacity, cpus) => new HashStore(spec, capacity, cpus),
  lpm_trie: (spec, capacity) => new LpmStore(spec, capacity),
  array_of_maps: links,
  hash_of_maps: links,
  devmap: devices,
  sockmap: foreign,
  cpumap: devices,
  xskmap: devices,
  sockhash: foreign,
  cgroup_storage: foreign,
  reuseport_sockarray: foreign,
  percpu_cgroup_storage: foreign,
  queue,
  stack: queue,
  sk_storage: foreign,
  devmap_hash: devices,
  struct_ops: foreign,
  ringbuf: events,
  inode_storage: foreign,
  task_storage: foreign,
  bloom_filter: (spec, capacity) => BloomStore.of(spec, capacity),
  user_ringbuf: foreign,
  cgrp_storage: foreign,
  arena: foreign,
};
