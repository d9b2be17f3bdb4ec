/**
 * The maps of a running program as user space sees them, and as its helpers do.
 *
 * Every map whose values are cells answers find, claim and remove by the address of
 * a key in linear memory; reading and writing elements from outside goes through the
 * same functions, with the key put into the packet area between runs.
 */
import { InputError, toHex } from "../../base/index.ts";
import type { Layout, MapLayout } from "../../codegen/index.ts";
import { errno, type MapEntry } from "../../interp/index.ts";
import type { MemoryView } from "./memory-view.ts";
import { PrefixMap } from "./prefix-map.ts";
import { TableMap, updateFlag } from "./table-map.ts";

/** Maps with cells. Cells are numbers, keys are addresses, errors are negative. */
export interface ValueMap {
  readonly layout: MapLayout;
  /** Whether the last `claim` made the cell. */
  readonly fresh: boolean;
  find(key: number): number;
  /** The program looked the cell up. */
  used(at: number): void;
  /** Address of the value that the current CPU sees, or 0. */
  lookup(key: number): number;
  claim(key: number, flags: number): number;
  remove(key: number): number;
  cells(): Iterable<number>;
  /** The same as a program walks them: as inserted, as last used (LRU), by index. */
  inOrder(): Iterable<number>;
  /** Address of the cell's key; 0 where keys are indices. */
  keyAddress(at: number): number;
}

/** array, percpu_array and data sections: cell = index. */
class ArrayMap implements ValueMap {
  readonly layout: MapLayout;
  readonly fresh = false;
  readonly #memory: MemoryView;

  constructor(memory: MemoryView, layout: MapLayout) {
    this.#memory = memory;
    this.layout = layout;
  }
  find(key: number): number {
    const index = this.#memory.u32(key);
    return index < this.layout.capacity ? index : -1;
  }
  used(): void {}
  lookup(key: number): number {
    const at = this.find(key);
    const { values, stride, copies } = this.layout;
    if (at < 0) return 0;
    const copy = copies > 1 ? this.#memory.cpu : 0;
    return values + (at * copies + copy) * stride;
  }
  claim(key: number, flags: number): number {
    if ((flags & ~updateFlag.lock) >>> 0 > updateFlag.exist)
      return -errno.EINVAL;
    if ((flags & updateFlag.lock) !== 0 && lockOffset(this.layout) < 0)
      return -errno.EINVAL;
    const at = this.find(key);
    if (at < 0) return -errno.E2BIG;
    return (flags & updateFlag.noExist) === 0 ? at : -errno.EEXIST;
  }
  remove(): number {
    return -errno.EINVAL;
  }
  *cells(): Iterable<number> {
    for (let at = 0; at < this.layout.capacity; at++) yield at;
  }
  inOrder(): Iterable<number> {
    return this.cells();
  }
  keyAddress(): number {
    return 0;
  }
}

export function makeMap(
  memory: MemoryView,
  layout: MapLayout,
): ValueMap | undefined {
  switch (layout.kind) {
    case "array":
      return new ArrayMap(memory, layout);
    case "hash":
    case "lru":
      return new TableMap(memory, layout);
    case "lpm":
      return new PrefixMap(memory, layout);
    case "foreign":
      return undefined;
  }
}

/** Byte of `struct bpf_spin_lock` in the value, or −1. */
export function lockOffset({ spec }: MapLayout): number {
  const lock = spec.valueFields?.find(({ kind }) => kind === "spin-lock");
  return lock === undefined ? -1 : lock.bitOffset / 8;
}

/** Maps by name, read and written as bpf(2) would. */
export class MapContents {
  readonly #memory: MemoryView;
  readonly #maps: ReadonlyMap<string, ValueMap>;
  /** Where a key may lie between runs. */
  readonly #keyAt: number;

  constructor(
    memory: MemoryView,
    layout: Layout,
    maps: readonly (ValueMap | undefined)[],
  ) {
    this.#memory = memory;
    this.#keyAt = layout.packets.start;
    this.#maps = new Map(
      maps.flatMap((map): [string, ValueMap][] =>
        map === undefined ? [] : [[map.layout.spec.name, map]],
      ),
    );
  }

  /** Every element of a map, by key bytes; of a map without values none. */
  entries(name: string): readonly MapEntry[] {
    const map = this.#maps.get(name);
    if (map === undefined) return [];
    const entries = Array.from(map.cells(), (at) => ({
      key: this.#keyOf(map, at),
      value: this.#read(map.layout, at),
    }));
    return map instanceof ArrayMap ? entries : entries.sort(byKey);
  }

  load(name: string, entries: readonly MapEntry[]): void {
    const map = this.#maps.get(name);
    if (map === undefined)
      throw new InputError(`no map with values is called ${name}`, {
        code: "map-unknown",
        kind: "usage",
      });
    for (const { key, value } of entries) this.#write(map, key, value);
  }

  #write(map: ValueMap, key: Uint8Array, value: Uint8Array): void {
    const { spec, copies, stride } = map.layout;
    const size = copies > 1 ? copies * stride : spec.valueSize;
    if (key.length !== spec.keySize || value.length !== size)
      throw new InputError(
        `${spec.name}: an element has ${spec.keySize} + ${size} bytes, but ${key.length} + ${value.length} are given`,
        { code: "map-element-size" },
      );
    this.#memory.bytes.set(key, this.#keyAt);
    const at = map.claim(this.#keyAt, 0);
    if (at < 0)
      throw new InputError(
        `map ${spec.name}: initial element ${toHex(key)} is refused (error ${-at})`,
        { code: "map-contents-refused" },
      );
    const cell = map.layout.values + at * copies * stride;
    for (let copy = 0; copy < copies; copy++)
      this.#memory.bytes.set(
        value.subarray(copy * stride, copy * stride + spec.valueSize),
        cell + copy * stride,
      );
  }

  #read(layout: MapLayout, at: number): Uint8Array {
    const { spec, values, stride, copies } = layout;
    const start = values + at * copies * stride;
    const value = this.#memory.copy(
      start,
      copies > 1 ? copies * stride : spec.valueSize,
    );
    // User space never sees a lock's word.
    const lock = lockOffset(layout);
    if (lock >= 0 && copies === 1) value.fill(0, lock, lock + 4);
    return value;
  }

  #keyOf(map: ValueMap, at: number): Uint8Array {
    if (map instanceof PrefixMap) return map.givenKey(at);
    if (map instanceof TableMap)
      return this.#memory.copy(map.keyAddress(at), map.layout.spec.keySize);
    return Uint8Array.of(at, at >>> 8, at >>> 16, at >>> 24);
  }
}

function byKey(left: MapEntry, right: MapEntry): number {
  for (let index = 0; index < left.key.length; index++) {
    const difference = (left.key[index] ?? 0) - (right.key[index] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}
