/**
 * Maps by name, read and written as bpf(2) would: errors are negated error numbers,
 * per-CPU values are all CPUs' copies in a row. Keys and values come in through a
 * place of the core's own, so that the maps see addresses only.
 *
 * Maps of maps and program arrays show the names of what they hold. A queue shows its
 * values under their position, a bloom filter its bits by words of 8 bytes, those
 * that are not zero; the kernel shows neither.
 */
import { InputError, toHex } from "../../base/index.ts";
import {
  innerMaps,
  mapHandle,
  outsideSize,
  type Layout,
  type MapLayout,
} from "../../codegen/index.ts";
import { errno, type MapEntry } from "../../interp/index.ts";
import type { ProgramSpec } from "../../isa/index.ts";
import { ArrayMap } from "./array-map.ts";
import { BloomMap } from "./bloom-map.ts";
import { rowStride } from "./cell-values.ts";
import type { MemoryView } from "./memory-view.ts";
import { QueueMap } from "./queue-map.ts";
import type { LinearMap, ValueMap } from "./value-maps.ts";

const none = new Uint8Array(0);

export class MapContents {
  readonly #memory: MemoryView;
  readonly #layout: Layout;
  readonly #program: ProgramSpec;
  readonly #maps: ReadonlyMap<string, LinearMap>;

  constructor(
    memory: MemoryView,
    layout: Layout,
    program: ProgramSpec,
    maps: readonly (LinearMap | undefined)[],
  ) {
    this.#memory = memory;
    this.#layout = layout;
    this.#program = program;
    this.#maps = new Map(
      maps.flatMap((map): [string, LinearMap][] =>
        map === undefined ? [] : [[map.layout.spec.name, map]],
      ),
    );
  }

  /** What maps hold before anything runs: data sections, slots that the object fills. */
  fill(): void {
    for (const { spec, values } of this.#layout.maps) {
      if (spec.data !== undefined && spec.type === "array")
        this.#memory.bytes.set(spec.data.subarray(0, spec.valueSize), values);
      for (const { index, target } of spec.values ?? [])
        this.#must(
          spec.name,
          indexKey(index),
          new TextEncoder().encode(target.name),
        );
    }
  }

  load(name: string, entries: readonly MapEntry[]): void {
    const map = this.#map(name);
    for (const { key, value } of entries)
      if (map instanceof BloomMap && key.length === 4)
        map.bits().set(value, 8 * indexOf(key));
      else this.#must(name, key, value);
  }

  /** The value, for a queue the next one; undefined when there is none. */
  lookup(name: string, key: Uint8Array): Uint8Array | undefined {
    const map = this.#map(name);
    if (map instanceof QueueMap) {
      const at = this.#place(none, new Uint8Array(map.layout.valueSize));
      return map.peek(at) === 0
        ? this.#memory.copy(at, map.layout.valueSize)
        : undefined;
    }
    if (map instanceof BloomMap)
      return map.peek(this.#place(none, key)) === 0 ? key : undefined;
    const place = this.#place(key, none);
    return map.calmly(() => {
      const at = map.locate(place);
      return at < 0 ? undefined : this.#read(map, at);
    });
  }

  /** 0 or a negated error number. */
  update(name: string, key: Uint8Array, value: Uint8Array, flags = 0): number {
    const map = this.#map(name);
    this.#checkSizes(map.layout, key, value);
    if (map instanceof QueueMap || map instanceof BloomMap)
      return map.push(this.#place(none, value), flags);
    if ((flags & 4) !== 0 && !map.values.hasLock) return -errno.EINVAL;
    const at = this.#place(key, none);
    map.values.given = this.#stored(map.layout, value);
    try {
      return map.update(at, flags);
    } finally {
      map.values.given = undefined;
    }
  }

  /** 0 or a negated error number. */
  delete(name: string, key: Uint8Array): number {
    const map = this.#map(name);
    if (map instanceof QueueMap) return -errno.EINVAL;
    if (map instanceof BloomMap) return -errno.EOPNOTSUPP;
    return map.remove(this.#place(key, none));
  }

  /** Takes the next value out of a queue or stack. */
  pop(name: string): Uint8Array | undefined {
    const map = this.#map(name);
    if (!(map instanceof QueueMap)) return undefined;
    const at = this.#place(none, new Uint8Array(map.layout.valueSize));
    return map.pop(at) === 0
      ? this.#memory.copy(at, map.layout.valueSize)
      : undefined;
  }

  /** Every element by key bytes; of a map without values none. */
  entries(name: string): readonly MapEntry[] {
    const map = this.#maps.get(name);
    if (map === undefined) return [];
    if (map instanceof QueueMap)
      return map.all().map((value, index) => ({ key: indexKey(index), value }));
    if (map instanceof BloomMap) return wordsOf(map.bits());
    const entries = map.calmly(() => this.#elements(map, map.cells()));
    return map instanceof ArrayMap ? entries : entries.sort(byKey);
  }

  /** The same without cells of arrays that are all zero. */
  written(name: string): readonly MapEntry[] {
    const map = this.#maps.get(name);
    return map instanceof ArrayMap
      ? map.calmly(() => this.#elements(map, map.written()))
      : this.entries(name);
  }

  #elements(map: ValueMap, cells: readonly number[]): MapEntry[] {
    return Array.from(cells, (at) => ({
      key: this.#keyOf(map, at),
      value: this.#read(map, at),
    }));
  }

  /** Names of maps whose elements `entries` shows. */
  get names(): readonly string[] {
    return [...this.#maps.keys()];
  }

  #map(name: string): LinearMap {
    const map = this.#maps.get(name);
    if (map === undefined)
      throw new InputError(`no map with values is called ${name}`, {
        code: "map-unknown",
        kind: "usage",
      });
    return map;
  }

  #must(name: string, key: Uint8Array, value: Uint8Array): void {
    const answer = this.update(name, key, value);
    if (answer < 0)
      throw new InputError(
        `map ${name}: initial element ${toHex(key)} is refused (error ${-answer})`,
        { code: "map-contents-refused" },
      );
  }

  #checkSizes(map: MapLayout, key: Uint8Array, value: Uint8Array): void {
    if (map.held !== "values") return;
    const { spec, kind } = map;
    const size = map.copies * rowStride(map);
    const isKeyed = kind !== "queue" && kind !== "bloom";
    if ((!isKeyed || key.length === spec.keySize) && value.length === size)
      return;
    throw new InputError(
      `${spec.name}: an element has ${spec.keySize} + ${size} bytes, but ${key.length} + ${value.length} are given`,
      { code: "map-element-size" },
    );
  }

  /** Puts key and value, one of them perhaps empty, where the maps can read them. */
  #place(key: Uint8Array, value: Uint8Array): number {
    const at = this.#memory.cell.outside;
    if (key.length + value.length > outsideSize)
      throw new InputError(
        `keys and queued values of ${key.length + value.length} bytes are too long`,
        { code: "map-element-size" },
      );
    this.#memory.bytes.set(key, at);
    this.#memory.bytes.set(value, at + key.length);
    return at;
  }

  /** The bytes that a cell keeps for what user space gives. */
  #stored(map: MapLayout, value: Uint8Array): Uint8Array {
    const { held, spec } = map;
    if (held === "values") return value;
    const name = new TextDecoder().decode(value);
    const index =
      held === "maps"
        ? this.#layout.maps.findIndex((map) => map.spec.name === name)
        : this.#program.functions.findIndex((fn) => fn.name === name);
    // The program was compiled for maps like the template (kernel: EINVAL).
    if (held === "maps" && index >= 0 && !this.#fits(map, index))
      throw new InputError(
        `${spec.name}: ${name} is not like its inner map ${spec.inner?.name ?? ""}`,
        { code: "map-contents-refused" },
      );
    if (index >= 0) return indexKey(mapHandle(index));
    const what = held === "maps" ? "map" : "function";
    throw new InputError(`${spec.name}: no ${what} is called ${name}`, {
      code: `${what}-unknown`,
    });
  }

  #fits(outer: MapLayout, inner: number): boolean {
    if (outer.spec.inner === undefined) return true;
    return innerMaps(this.#layout, outer.index).includes(inner);
  }

  #read(map: ValueMap, at: number): Uint8Array {
    const value = map.values.read(at);
    const { held } = map.layout;
    if (held === "values") return value;
    const index = indexOf(value) - 1;
    const name =
      held === "maps"
        ? this.#layout.maps[index]?.spec.name
        : this.#program.functions[index]?.name;
    return new TextEncoder().encode(name ?? "");
  }

  #keyOf(map: ValueMap, at: number): Uint8Array {
    const address = map.keyAddress(at);
    if (address === 0) return indexKey(at);
    return this.#memory.copy(address, map.layout.spec.keySize);
  }
}

function indexKey(index: number): Uint8Array {
  return Uint8Array.of(index, index >>> 8, index >>> 16, index >>> 24);
}

function indexOf([a = 0, b = 0, c = 0, d = 0]: Uint8Array): number {
  return (a | (b << 8) | (c << 16) | (d << 24)) >>> 0;
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
