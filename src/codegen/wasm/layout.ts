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
 *   per map: values, then what else it knows (map-layout.ts)
 *   of a guarded run: what its cores agree by (guard-layout.ts)
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
import type { ProgramSpec } from "../../isa/index.ts";
import {
  guardLayout,
  type GuardLayout,
  type GuardOptions,
} from "./guard-layout.ts";
import { align, mapLayout, mapsOf, type MapLayout } from "./map-layout.ts";

export type { MapLayout } from "./map-layout.ts";

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
  /** Guarded runs: what the packet in hand holds, see `guardMode`. */
  readonly guard: number;
  /** For a key that the engine makes, such as a masked one of an LPM trie. */
  readonly scratch: number;
  readonly context: number;
  /** data, data_end and data_meta of program types whose context does not show them. */
  readonly bounds: number;
  /** For keys and values that come from outside the run. */
  readonly outside: number;
}

function cellsAt(area: number): Cells {
  return {
    current: area + 0x400,
    result: area + 0x408,
    tailCalls: area + 0x410,
    site: area + 0x414,
    args: area + 0x420,
    lock: area + 0x448,
    guard: area + 0x4d0,
    scratch: area + 0x500,
    context: area + 0x800,
    bounds: area + 0xa00,
    outside: area + 0x1000,
  };
}

export const scratchSize = 0x300;
export const outsideSize = 0x1000;

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
  /** Guarded runs: see guard-layout.ts. */
  ticket: 68,
} as const;

export const frameSize = 512;
const frameStride = 1024;
const framesOffset = 0x2000;
export const pageSize = 0x1_0000;

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
  /** Maps begin here, or behind, and nothing else that the program reaches; and end. */
  readonly mapsFrom: number;
  readonly mapsEnd: number;
  readonly guard?: GuardLayout;
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
  readonly guard?: GuardOptions;
}

const recordsSize = 1 << 16;
const batchPackets = 1024;
/** Room for a batch, and so for the largest packet. */
const batchBytes = 1 << 20;

export function layoutOf(program: ProgramSpec, options: LayoutOptions): Layout {
  const { core, cores } = options.seat ?? { core: 0, cores: 1 };
  const first = areaAt(program, 0);
  const areaSize = align(first.packets.end, pageSize);
  const mapsFrom = cores * areaSize;
  let next = mapsFrom;
  const take = (size: number, alignment = 64): number => {
    const at = align(next, alignment);
    if (size > 0) next = align(at + size, 64);
    return at;
  };
  const shared = options.seat !== undefined;
  const maps = mapsOf(program, options.inner ?? {}).map((spec, index) =>
    mapLayout(spec, index, { ...options, shared, cores }, take),
  );
  const mapsEnd = next;
  const savedSize = first.packets.end - first.packets.start;
  const guard =
    options.guard &&
    guardLayout(program, options.guard, { maps, cores, savedSize }, take);
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
    shared,
    core,
    cores,
    ...areaAt(program, core * areaSize),
    batchPackets,
    maps,
    mapsFrom,
    mapsEnd,
    ...(guard === undefined ? {} : { guard }),
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

function region(from: number, size: number): { start: number; end: number } {
  const start = align(from, 64);
  return { start, end: start + size };
}
