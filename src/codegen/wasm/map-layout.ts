/**
 * What one map has in linear memory. Everything it knows lies there, so that several
 * cores over one memory see one map; the engine's classes hold only addresses.
 *
 *   state     words, see `mapState`; the lock has a line of its own
 *   values    cell c, copy p at values + c · cellStride + p · copyStride
 *   tables    buckets: head of each chain (cell + 1, 0 = empty); shared: and behind it
 *             the bucket's version, the number of cells that ever left its chain
 *             next: cell + 1 of the next in the chain, or of the next free cell
 *             keys: of lpm_trie the masked ones; `given` has them as they were given
 *             born: which insertion made the cell's element, for the order of a walk
 *   lru       older, newer: neighbours in order of use, cell + 1; older is -1 for a
 *             cell that is in no list
 *             touches (shared): per core, uses that the order does not know yet
 *   lpm       lengths: how many elements have each prefix length
 *   queue     slots: a ring of values. bloom: slots: the bits
 *
 * Private memory is packed. In shared memory the copies of a CPU are together, lines
 * away from those of the next, and a small map's values are 128 bytes apart, since
 * two cores that write neighbours take the line from each other (0.70 times the speed
 * of one core, against 1.90 apart). Beyond 1 MiB two cores seldom are neighbours, and
 * the room would cost more than it saves.
 *
 * Only `values` is ever reachable by the program, and only where values are values.
 */
import {
  bloomShape,
  mapTypeRow,
  type MapSpec,
  type MapTypeName,
  type ProgramSpec,
} from "../../isa/index.ts";

/** How a map is kept. `foreign`: only passed to helpers that need no cells. */
export type MapKind =
  "array" | "hash" | "lru" | "lpm" | "queue" | "bloom" | "foreign";

/**
 * What its values are. `maps`: a u32, the handle of a map or 0 (`mapHandle`), which a
 * lookup by the program gives instead of its address. `functions`: a u32, the number
 * of a function + 1 or 0, for tail calls only.
 */
export type Held = "values" | "maps" | "functions";

export interface MapLayout {
  readonly index: number;
  readonly spec: MapSpec;
  readonly kind: MapKind;
  readonly held: Held;
  readonly capacity: number;
  /** Bytes of a value as the engine keeps it: 4 for handles. */
  readonly valueSize: number;
  /** 1, or the number of CPUs. */
  readonly copies: number;
  /** Divides both strides below: the distance of neighbours. */
  readonly stride: number;
  readonly cellStride: number;
  readonly copyStride: number;
  /** Cells, the spare one included. */
  readonly cells: number;
  /** Address of the first value. */
  readonly values: number;
  /** Bytes from the first value to the end of the last; 0 if none is reachable. */
  readonly valuesSize: number;
  readonly state: number;
  readonly buckets: number;
  readonly bucketCount: number;
  readonly bucketStride: number;
  readonly next: number;
  readonly keys: number;
  readonly keyStride: number;
  readonly given: number;
  readonly born: number;
  readonly older: number;
  readonly newer: number;
  readonly touches: number;
  readonly lengths: number;
  readonly slots: number;
}

/** Offsets of the words of a map's state, in bytes. */
export const mapState = {
  /** 0 free, 1 held, 2 held and waited for. */
  lock: 0,
  /** Elements. */
  size: 128,
  /** First free cell + 1. */
  free: 132,
  /** Cells from here on were never used. */
  unused: 136,
  /** The cell that the next update of an element writes to, unless it is the first. */
  spare: 140,
  /** Ends of the order of use: cell + 1. */
  oldest: 144,
  newest: 148,
  /** lpm: changes of the set of keys. */
  version: 152,
  /** Queue: slot of the oldest value. */
  head: 156,
  /** Insertions so far. */
  births: 160,
} as const;
const stateSize = 256;

/** A core's log of uses: a count, then cells. */
export const touchLog = { stride: 128, entries: 15 } as const;

/** Cells that are padded to a line pair in shared memory take this at most. */
const paddedBytes = 1 << 20;
const linePair = 128;

export interface MapOptions {
  readonly cpus: number;
  readonly capacities: Readonly<Record<string, number>>;
  readonly shared: boolean;
  readonly cores: number;
}

/** Lays out one map; `take` gives room at the end of the memory, 64-byte aligned. */
export function mapLayout(
  spec: MapSpec,
  index: number,
  options: MapOptions,
  take: (size: number, alignment?: number) => number,
): MapLayout {
  const { shared } = options;
  const kind = kinds[spec.type] ?? "foreign";
  const capacity =
    options.capacities[spec.name] ?? (spec.maxEntries || options.cpus);
  const held = heldBy(spec.type);
  const valueSize = held === "values" ? spec.valueSize : 4;
  const isTable = kind === "hash" || kind === "lru" || kind === "lpm";
  const cells = isTable ? capacity + 1 : kind === "array" ? capacity : 0;
  const copies =
    cells > 0 && mapTypeRow(spec.type).perCpu === true ? options.cpus : 1;
  const strides = stridesOf({ valueSize, cells, copies, shared });
  const { stride, cellStride, copyStride } = strides;
  const size =
    cells === 0 ? 0 : (copies - 1) * copyStride + (cells - 1) * cellStride;
  const values = take(cells === 0 ? 0 : size + stride, linePair);
  const bucketCount = isTable ? powerOfTwo(capacity) : 0;
  const bucketStride = shared ? 8 : 4;
  const keyStride = align(spec.keySize, 8);
  const links = 4 * cells;
  const isLru = kind === "lru";
  return {
    index,
    spec,
    kind,
    held,
    capacity,
    valueSize,
    copies,
    ...strides,
    cells,
    values,
    valuesSize: cells === 0 || held !== "values" ? 0 : size + stride,
    state: take(kind === "foreign" ? 0 : stateSize, linePair),
    bucketCount,
    bucketStride,
    buckets: take(bucketStride * bucketCount),
    next: take(isTable ? links : 0),
    keys: take(isTable ? cells * keyStride : 0),
    keyStride,
    given: take(kind === "lpm" ? cells * keyStride : 0),
    born: take(isTable ? links : 0),
    older: take(isLru ? links : 0),
    newer: take(isLru ? links : 0),
    touches: take(
      isLru && shared ? options.cores * touchLog.stride : 0,
      linePair,
    ),
    lengths: take(kind === "lpm" ? 4 * (longestPrefix(spec) + 1) : 0),
    slots: take(slotsSize(spec, kind, capacity)),
  };
}

function stridesOf(map: {
  readonly valueSize: number;
  readonly cells: number;
  readonly copies: number;
  readonly shared: boolean;
}): Pick<MapLayout, "stride" | "cellStride" | "copyStride"> {
  const { cells, copies, shared } = map;
  const packed = Math.max(8, align(map.valueSize, 8));
  if (!shared)
    return { stride: packed, cellStride: copies * packed, copyStride: packed };
  if (copies === 1) {
    const apart = align(packed, linePair);
    const stride = apart * cells <= paddedBytes ? apart : packed;
    return { stride, cellStride: stride, copyStride: stride };
  }
  // The copies of one CPU in a row, as many more as end on a line pair.
  let row = cells;
  while ((row * packed) % linePair !== 0) row++;
  return { stride: packed, cellStride: packed, copyStride: row * packed };
}

/** The longest prefix of an lpm_trie's keys, in bits. */
export function longestPrefix({ keySize }: MapSpec): number {
  return Math.max(0, 8 * (keySize - 4));
}

function slotsSize(spec: MapSpec, kind: MapKind, capacity: number): number {
  if (kind === "queue") return capacity * spec.valueSize;
  if (kind === "bloom") return bloomShape(spec, capacity).bytes;
  return 0;
}

// prettier-ignore
const kinds: Partial<Readonly<Record<MapTypeName, MapKind>>> = {
  array: "array", percpu_array: "array",
  hash: "hash", percpu_hash: "hash", devmap: "hash", devmap_hash: "hash", cpumap: "hash", xskmap: "hash",
  lru_hash: "lru", lru_percpu_hash: "lru", lpm_trie: "lpm",
  array_of_maps: "array", hash_of_maps: "hash", prog_array: "array",
  queue: "queue", stack: "queue", bloom_filter: "bloom",
};

/** What the portable engine keeps for a map type; undefined: nothing, calls are refused. */
export function portableMap(
  type: MapTypeName,
): Held | "queue" | "bits" | "events" | undefined {
  if (type === "ringbuf" || type === "perf_event_array") return "events";
  const kind = kinds[type];
  if (kind === "queue") return "queue";
  if (kind === "bloom") return "bits";
  return kind === undefined ? undefined : heldBy(type);
}

function heldBy(type: MapTypeName): Held {
  if (type === "prog_array") return "functions";
  return mapTypeRow(type).ofMaps === true ? "maps" : "values";
}

/** The program's maps, then the inner maps that have only a name and a template. */
export function mapsOf(
  program: ProgramSpec,
  inner: Readonly<Record<string, readonly string[]>>,
): readonly MapSpec[] {
  const maps = new Map(program.maps.map((spec) => [spec.name, spec]));
  for (const outer of program.maps) {
    if (outer.inner === undefined) continue;
    const named = (outer.values ?? []).map(({ target }) => target.name);
    for (const name of [...named, ...(inner[outer.name] ?? [])])
      if (!maps.has(name)) maps.set(name, { ...outer.inner, name });
  }
  return [...maps.values()];
}

/** The 64-bit number that stands for a map in registers; never an address. */
export function mapHandle(index: number): number {
  return index + 1;
}

/**
 * Every map that a cell of this map of maps may hold: those that are like its
 * template, since user space may put any of them there. By their indices.
 * Source: bpf_map_meta_equal (kernel/bpf/map_in_map.c).
 */
export function innerMaps(
  { maps }: { readonly maps: readonly MapLayout[] },
  index: number,
): readonly number[] {
  const template = maps[index]?.spec.inner;
  if (template === undefined) return [];
  const named = maps[index]?.spec.values?.map(({ target }) => target.name);
  return maps.flatMap(({ spec, index: at }) =>
    (spec.type === template.type &&
      spec.keySize === template.keySize &&
      spec.valueSize === template.valueSize &&
      spec.flags === template.flags) ||
    named?.includes(spec.name) === true
      ? [at]
      : [],
  );
}

export function align(value: number, to: number): number {
  return Math.ceil(value / to) * to;
}

function powerOfTwo(least: number): number {
  let size = 1;
  while (size < least) size *= 2;
  return size;
}
