/**
 * What lies where in the linear memory of one compiled program.
 *
 *   area of core 0
 *     0x0000  nothing: null and what is near it (page 0 holds only the cells below)
 *     0x0400  cells of the run, see `Cells`
 *     0x0800  context: struct xdp_md, struct __sk_buff
 *     0x2000  stack: one 512-byte frame per function, a gap of the same size between
 *     ......  records: ring buffer reservations
 *     ......  batch: descriptors, then packets with head and tail room
 *   area of core 1, the same again, and so on
 *   per map: values, then the keys and links of its table
 *
 * Cores that run at once in one memory (`shared`) have an area each and the maps in
 * common. A module is compiled for one core: the addresses of its area are constants
 * in it, so a shared program pays nothing for finding its own things.
 *
 * Frames are static, since no function of a verified program can be active twice;
 * so r10 is a constant everywhere. Only context, frames, records, the packet and map
 * values are ever reachable by the program. Addresses are below 2^32, so that a
 * 32-bit load of ctx->data is a whole pointer.
 */
import { UnsupportedError } from "../../base/index.ts";
import {
  mapTypeRow,
  type MapSpec,
  type MapTypeName,
  type ProgramSpec,
} from "../../isa/index.ts";

/** Byte addresses of what the run of one core keeps about itself. */
export interface Cells {
  /** Address of the descriptor of the packet being run. */
  readonly current: number;
  /** 64-bit result of a helper whose result is wide. */
  readonly result: number;
  /** Tail calls left for this packet. */
  readonly tailCalls: number;
  /** Site number of the helper call that was made last. */
  readonly site: number;
  /** r1 … r5 of a bridged helper call or a callback, 64 bits each. */
  readonly args: number;
  /** How many locks are held (u32), then their addresses, at most 31. */
  readonly lock: number;
  /** For a key that the engine makes, such as a masked one of an LPM trie. */
  readonly scratch: number;
  readonly context: number;
  /** data, data_end and data_meta of program types whose context does not show them. */
  readonly bounds: number;
}

function cellsAt(area: number): Cells {
  return {
    current: area + 0x400,
    result: area + 0x408,
    tailCalls: area + 0x410,
    site: area + 0x414,
    args: area + 0x420,
    lock: area + 0x448,
    scratch: area + 0x500,
    context: area + 0x800,
    bounds: area + 0xa00,
  };
}

export const scratchSize = 0x300;

/** Fields of a packet's descriptor, by byte. */
export const descriptor = {
  size: 96,
  data: 0,
  length: 4,
  ifindex: 8,
  rxQueue: 12,
  cpu: 16,
  verdict: 20,
  time: 24,
  /** After the run: where data and data_end were. */
  outData: 32,
  outEnd: 36,
  /** 0 none, 1 interface, 2 map. */
  redirectKind: 40,
  redirectTo: 44,
  redirectKey: 48,
  /** Lowest and highest address that data and data_end may take. */
  hardStart: 52,
  hardEnd: 56,
  redirectFlags: 64,
} as const;

export const frameSize = 512;
const frameStride = 1024;
const framesOffset = 0x2000;
export const pageSize = 0x1_0000;

/** How a map is kept. `foreign`: only passed to helpers that need no cells. */
export type MapKind = "array" | "hash" | "lru" | "lpm" | "foreign";

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
  /** 1, or the number of CPUs. */
  readonly copies: number;
  /** Bytes from one copy of a value to the next. */
  readonly stride: number;
  /** Cells, the spare one included. */
  readonly cells: number;
  /** Address of the first value; cell c, copy p is at values + (c · copies + p) · stride. */
  readonly values: number;
  readonly valuesSize: number;
  /** Table: heads of the chains (u32 cell + 1), a power of two of them. */
  readonly buckets: number;
  readonly bucketCount: number;
  /** u32 cell + 1 of the next in the chain, by cell. */
  readonly next: number;
  /** Keys by cell, keyStride apart. */
  readonly keys: number;
  readonly keyStride: number;
  /** LRU: u32 of the next older and next newer cell + 1, by cell. */
  readonly older: number;
  readonly newer: number;
}

/** One of several cores that run at once in one memory. */
export interface CoreOf {
  readonly core: number;
  readonly cores: number;
}

export interface Layout {
  readonly cpus: number;
  /** Several cores may run in this memory at once: maps need locks and atomics. */
  readonly shared: boolean;
  /** Whose area the addresses below are in; 0 of 1 unless shared. */
  readonly core: number;
  readonly cores: number;
  readonly cell: Cells;
  readonly stack: { readonly start: number; readonly end: number };
  readonly records: { readonly start: number; readonly end: number };
  readonly descriptors: number;
  readonly batchPackets: number;
  readonly packets: { readonly start: number; readonly end: number };
  readonly maps: readonly MapLayout[];
  readonly pages: number;
}

export interface LayoutOptions {
  readonly cpus: number;
  /** Entries of a map instead of its max_entries, by name. */
  readonly capacities: Readonly<Record<string, number>>;
  /** Which core of how many, where several run at once in one memory. */
  readonly seat?: CoreOf;
  /** Inner maps to be made from the template of a map of maps, by its name. */
  readonly inner?: Readonly<Record<string, readonly string[]>>;
}

const recordsSize = 1 << 16;
const batchPackets = 256;
/** Room for a batch, and so for the largest packet. */
const batchBytes = 1 << 20;

export function layoutOf(program: ProgramSpec, options: LayoutOptions): Layout {
  const { core, cores } = options.seat ?? { core: 0, cores: 1 };
  const areaSize = align(areaAt(program, 0).packets.end, pageSize);
  let next = cores * areaSize;
  const take = (size: number): number => {
    const at = next;
    next = align(next + size, 64);
    return at;
  };
  const maps = mapsOf(program, options.inner ?? {}).map((spec, index) =>
    mapLayout(spec, index, options, take),
  );
  const pages = Math.ceil(next / pageSize);
  if (pages > 65535)
    throw new UnsupportedError(
      `${program.file}: maps of ${Math.ceil(next / 2 ** 20)} MiB do not fit the 4 GiB of the portable engine`,
      {
        feature: "maps beyond 4 GiB",
        fix: "give the largest map a smaller capacity",
      },
    );
  return {
    cpus: options.cpus,
    shared: options.seat !== undefined,
    core,
    cores,
    ...areaAt(program, core * areaSize),
    batchPackets,
    maps,
    pages,
  };
}

/** What a core has of its own. */
function areaAt(
  program: ProgramSpec,
  area: number,
): Pick<Layout, "cell" | "stack" | "records" | "descriptors" | "packets"> {
  const start = area + framesOffset;
  const stack = { start, end: start + program.functions.length * frameStride };
  const records = region(stack.end, recordsSize);
  const descriptors = align(records.end, 64);
  const packets = region(
    descriptors + batchPackets * descriptor.size,
    batchBytes,
  );
  return { cell: cellsAt(area), stack, records, descriptors, packets };
}

/** r10 of the function with that number. */
export function frameTop({ stack }: Layout, functionIndex: number): number {
  return stack.start + functionIndex * frameStride + frameSize;
}

/** The program's maps, then the inner maps that have only a name and a template. */
function mapsOf(
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
 * Every map that a cell of this map of maps may hold: those of the layout that are
 * like its template, since user space may put any of them there. By their indices.
 * Source: bpf_map_meta_equal (kernel/bpf/map_in_map.c).
 */
export function innerMaps({ maps }: Layout, index: number): readonly number[] {
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

function mapLayout(
  spec: MapSpec,
  index: number,
  options: LayoutOptions,
  take: (size: number) => number,
): MapLayout {
  const kind = kinds[spec.type] ?? "foreign";
  const copies = mapTypeRow(spec.type).perCpu === true ? options.cpus : 1;
  const capacity =
    options.capacities[spec.name] ?? (spec.maxEntries || options.cpus);
  const held = heldBy(spec.type);
  const valueSize = held === "values" ? spec.valueSize : 4;
  const stride = Math.max(8, align(valueSize, 8));
  const isTable = kind === "hash" || kind === "lru" || kind === "lpm";
  const cells = kind === "foreign" ? 0 : capacity + (isTable ? 1 : 0);
  const valuesSize = cells * copies * stride;
  const bucketCount = isTable ? powerOfTwo(capacity) : 0;
  const keyStride = align(spec.keySize, 8);
  const links = 4 * cells;
  return {
    index,
    spec,
    kind,
    held,
    capacity,
    copies,
    stride,
    cells,
    values: take(valuesSize),
    valuesSize,
    bucketCount,
    buckets: take(4 * bucketCount),
    next: take(isTable ? links : 0),
    keys: take(isTable ? cells * keyStride : 0),
    keyStride,
    older: take(kind === "lru" ? links : 0),
    newer: take(kind === "lru" ? links : 0),
  };
}

// prettier-ignore
const kinds: Partial<Readonly<Record<MapTypeName, MapKind>>> = {
  array: "array", percpu_array: "array",
  hash: "hash", percpu_hash: "hash", devmap: "hash", devmap_hash: "hash", cpumap: "hash", xskmap: "hash",
  lru_hash: "lru", lru_percpu_hash: "lru", lpm_trie: "lpm",
  array_of_maps: "array", hash_of_maps: "hash", prog_array: "array",
};

function heldBy(type: MapTypeName): Held {
  if (type === "prog_array") return "functions";
  return mapTypeRow(type).ofMaps === true ? "maps" : "values";
}

function region(from: number, size: number): { start: number; end: number } {
  const start = align(from, 64);
  return { start, end: start + size };
}

export function align(value: number, to: number): number {
  return Math.ceil(value / to) * to;
}

function powerOfTwo(least: number): number {
  let size = 1;
  while (size < least) size *= 2;
  return size;
}
