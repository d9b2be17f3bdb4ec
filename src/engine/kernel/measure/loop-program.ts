/**
 * A program that runs another over 32 packets of a table, in one call.
 *
 * BPF_PROG_TEST_RUN costs about 30 ns a call, counts whole nanoseconds and gives
 * every call the same packet. So the measured program becomes a function that is
 * called 32 times from a loop; each time the frame before it is replaced whole by
 * the next row of a table. The function is a global one, which the verifier walks
 * once and not 32 times.
 *
 *   map divisi.rows   core 0: row 0 … row n-1 | core 1: … | …   (n a power of two)
 *     a row: u32 ingress_ifindex, u32 rx_queue_index, 6 bytes, the frame, 2 bytes
 *   map divisi.gate   0 u32 arrived, 4 u32 late, 8 u64 order, 16 u32 finished; then
 *     64 bytes a core: 0 u64 start, 8 u64 end (CLOCK_MONOTONIC), 16 u64 arrived as,
 *     24 u64 left as
 *   packet, between calls (repeats of one test run see what the last one wrote):
 *     0 u32 next row, 4 u32 core, 8 u32 cores to wait for, 12 u32 calls left,
 *     16 u32 cores at work
 *
 * Start barrier: the first call counts itself at the gate and spins until all cores
 * have arrived, then notes the time; the last one notes the time again. A core that
 * waits for more than 2^23 turns gives up, marks the sample late and runs nothing.
 * Who has finished goes on, uncounted, as long as calls and others last: so every
 * counted packet had the company of all cores.
 *
 * What a program did to the frame's bounds is undone; this is part of the figure.
 */
import { Bug } from "../../../base/index.ts";
import {
  parseFunctions,
  type FunctionSpec,
  type Instruction,
  type MapSpec,
  type ProgramSpec,
} from "../../../isa/index.ts";
import type { Btf, BtfType } from "../../../object/index.ts";
import { copyProgram } from "./loop-copies.ts";
import { portArguments } from "./port-arguments.ts";

/** Packets of one call. */
export const loopLength = 32;
export const gateMap = "divisi.gate";
export const rowsMap = "divisi.rows";
const loopName = "divisi_loop";
const waitName = "divisi_wait";
const gateHeader = 64;
const gateStride = 64;
/** Up to the frame, whose network header thereby lies at a multiple of 8. */
const rowHeader = 14;
const tagSize = 24;

/** One packet of the table. */
export interface Row {
  readonly data: Uint8Array;
  readonly ifindex: number;
  readonly rxQueue: number;
}

export interface LoopTable {
  /** By core; each list is repeated or cut to the same power of two. */
  readonly rows: readonly (readonly Row[])[];
  /** Bytes of every frame, a multiple of 8; shorter ones are padded, longer ones cut. */
  readonly frameSize: number;
}

export interface LoopProgram {
  readonly program: ProgramSpec;
  readonly btf: Btf;
  /** Context fields that became arguments. */
  readonly rewritten: readonly string[];
  /** Helpers whose effect on the frame's bounds is undone after each packet. */
  readonly undone: readonly string[];
}

export interface LoopOptions {
  readonly btf?: Btf;
  /** Of the program, one per core, each with maps of its own. Default: 1 for all. */
  readonly copies?: number;
}

/** Undefined where the program cannot be called so: no XDP, or no room on its stack. */
export function loopProgram(
  program: ProgramSpec,
  table: LoopTable,
  { btf, copies = 1 }: LoopOptions = {},
): LoopProgram | undefined {
  if (program.type !== "xdp") return undefined;
  const changed = portArguments(program.functions);
  if (changed === undefined) return undefined;
  const called = {
    ...program,
    functions: [changed.entry, ...program.functions.slice(1)],
  };
  const bodies =
    copies === 1
      ? [called]
      : Array.from({ length: copies }, (_, copy) => copyProgram(called, copy));
  const entries = bodies.map(({ functions }) => functions[0]?.name ?? "");
  const helpers = undoneBy(program.functions);
  const own = loopFunctions(entries, table, new Set(helpers.keys()));
  const functions = [...own, ...bodies.flatMap((body) => body.functions)];
  const typed = typedFunctions(functions, new Set(entries), btf);
  return {
    program: {
      ...program,
      functions: typed.functions,
      maps: [...bodies.flatMap(({ maps }) => maps), ...tableMaps(table)],
    },
    btf: typed.btf,
    rewritten: changed.fields,
    undone: [...helpers.values()],
  };
}

/** Rows of each core: what was given, over and over, up to a power of two. */
export function rowsPerCore({ rows }: LoopTable): number {
  const most = Math.max(...rows.map((list) => list.length), loopLength);
  return 2 ** Math.floor(Math.log2(most));
}

function coreSlots({ rows }: LoopTable): number {
  return 2 ** Math.ceil(Math.log2(Math.max(1, rows.length)));
}

function tableMaps(table: LoopTable): readonly MapSpec[] {
  const perCore = rowsPerCore(table);
  const stride = rowSize(table);
  const data = new Uint8Array(coreSlots(table) * perCore * stride);
  const view = new DataView(data.buffer);
  for (const [core, list] of table.rows.entries())
    for (let index = 0; index < perCore; index++) {
      const row = list[index % list.length];
      if (row === undefined) throw new Bug(`core ${core} has no packets`);
      const at = (core * perCore + index) * stride;
      view.setUint32(at, row.ifindex, true);
      view.setUint32(at + 4, row.rxQueue, true);
      data.set(row.data.subarray(0, table.frameSize), at + rowHeader);
    }
  const map = (name: string, bytes: Uint8Array): MapSpec => ({
    name,
    type: "array",
    keySize: 4,
    valueSize: bytes.length,
    maxEntries: 1,
    flags: 0,
    section: ".data.divisi",
    data: bytes,
    readOnly: false,
  });
  const gate = new Uint8Array(gateHeader + gateStride * coreSlots(table));
  return [map(rowsMap, data), map(gateMap, gate)];
}

/** First frame of a run: nothing but the tag. */
export function tagFrame(
  size: number,
  tag: {
    readonly core: number;
    /** Cores to wait for at the barrier, all of which keep each other company. */
    readonly waitFor: number;
    readonly calls: number;
    readonly next?: number;
  },
): Uint8Array {
  const frame = new Uint8Array(size);
  const view = new DataView(frame.buffer);
  view.setUint32(0, tag.next ?? 0, true);
  view.setUint32(4, tag.core, true);
  view.setUint32(8, tag.waitFor, true);
  view.setUint32(12, tag.calls, true);
  view.setUint32(16, tag.waitFor, true);
  return frame;
}

export interface GateReading {
  /** A core gave up waiting. */
  readonly late: boolean;
  readonly cores: readonly {
    /** Nanoseconds of the monotonic clock. */
    readonly start: bigint;
    readonly end: bigint;
    /** Places in the one order of all arrivals and departures. */
    readonly arrivedAs: bigint;
    readonly leftAs: bigint;
  }[];
}

export function readGate(value: Uint8Array, cores: number): GateReading {
  const view = new DataView(value.buffer, value.byteOffset, value.length);
  return {
    late: view.getUint32(4, true) !== 0,
    cores: Array.from({ length: cores }, (_, core) => {
      const at = gateHeader + core * gateStride;
      return {
        start: view.getBigUint64(at, true),
        end: view.getBigUint64(at + 8, true),
        arrivedAs: view.getBigUint64(at + 16, true),
        leftAs: view.getBigUint64(at + 24, true),
      };
    }),
  };
}

// Helpers that move the frame's bounds.
// prettier-ignore
const boundsHelpers: Readonly<Record<number, string>> = { 44: "xdp_adjust_head", 54: "xdp_adjust_meta", 65: "xdp_adjust_tail" };

function undoneBy(
  functions: readonly FunctionSpec[],
): ReadonlyMap<number, string> {
  const found = new Map<number, string>();
  for (const { instructions } of functions)
    for (const instruction of instructions) {
      const name = boundsHelpers[helperOf(instruction) ?? 0];
      if (name !== undefined) found.set(helperOf(instruction) ?? 0, name);
    }
  return found;
}

function helperOf(instruction: Instruction): number | undefined {
  return instruction.kind === "call" && instruction.callee.kind === "helper"
    ? instruction.callee.helper
    : undefined;
}

function loopFunctions(
  entries: readonly string[],
  table: LoopTable,
  undo: ReadonlySet<number>,
): readonly FunctionSpec[] {
  const perCore = rowsPerCore(table);
  const { frameSize } = table;
  const moves = movesOf(frameSize)
    .map(
      ([at, type]) => `
      r0 = *(${type} *)(r2 + ${rowHeader + at})
      *(${type} *)(r3 + ${at}) = r0`,
    )
    .join("");
  const saves =
    undo.size === 0
      ? ""
      : `
      r3 -= r10
      *(u64 *)(r10 - 16) = r3
      r4 -= r10
      *(u64 *)(r10 - 24) = r4`;
  return parseFunctions(`
    function ${loopName} section "xdp" global
      r6 = r1
      r1 = *(u32 *)(r6 + 0)
      r2 = *(u32 *)(r6 + 4)
      r3 = r1
      r3 += ${tagSize}
      if r3 > r2 goto fail
      r7 = *(u32 *)(r1 + 0)
      r8 = *(u32 *)(r1 + 4)
      r8 &= ${coreSlots(table) - 1}
      r4 = *(u32 *)(r1 + 12)
      *(u64 *)(r10 - 32) = r4
      r5 = *(u32 *)(r1 + 16)
      *(u64 *)(r10 - 40) = r5
      if r4 != 0 goto counted
      r3 = value ${gateMap}[16] ll
      r3 = *(u32 *)(r3 + 0)
      if r3 >= r5 goto fail
    counted:
      r3 = *(u32 *)(r1 + 8)
      if r3 == 0 goto start
      ; arrive: once in a run
      *(u64 *)(r10 - 8) = r3
      r9 = value ${gateMap}[${gateHeader}] ll
      r1 = r8
      r1 <<= ${Math.log2(gateStride)}
      r9 += r1
      r1 = value ${gateMap}[8] ll
      r2 = 1
      r2 = atomic_fetch_add((u64 *)(r1 + 0), r2)
      *(u64 *)(r9 + 16) = r2
      r1 = value ${gateMap}[0] ll
      r2 = 1
      lock *(u32 *)(r1 + 0) += w2
      r1 = ${1 << 23}
      r2 = function ${waitName} ll
      r3 = r10
      r3 += -8
      r4 = 0
      call loop
      r1 = value ${gateMap}[0] ll
      r2 = *(u32 *)(r1 + 0)
      r3 = *(u64 *)(r10 - 8)
      if r2 < r3 goto late
      r1 = value ${gateMap}[8] ll
      r2 = 1
      r2 = atomic_fetch_add((u64 *)(r1 + 0), r2)
      *(u64 *)(r9 + 24) = r2
      call ktime_get_ns
      *(u64 *)(r9 + 0) = r0
    start:
      r8 *= ${perCore}
      r9 = 0
    again:
      r1 = r7
      r1 += r9
      r1 &= ${perCore - 1}
      r1 += r8
      r1 *= ${rowSize(table)}
      r2 = value ${rowsMap}[0] ll
      r2 += r1
      r3 = *(u32 *)(r6 + 0)
      r4 = *(u32 *)(r6 + 4)
      r5 = r3
      r5 += ${frameSize}
      if r5 > r4 goto fail${moves}${saves}
      r1 = r6
      r3 = *(u32 *)(r2 + 4)
      r2 = *(u32 *)(r2 + 0)
${callText(entries, perCore)}${undoText(undo)}
      r9 += 1
      if r9 < ${loopLength} goto again
      ; the tag of the next call
      r1 = *(u32 *)(r6 + 0)
      r2 = *(u32 *)(r6 + 4)
      r3 = r1
      r3 += ${tagSize}
      if r3 > r2 goto fail
      r7 += ${loopLength}
      *(u32 *)(r1 + 0) = r7
      r8 >>= ${Math.log2(perCore)}
      *(u32 *)(r1 + 4) = r8
      *(u32 *)(r1 + 8) = 0
      r4 = *(u64 *)(r10 - 40)
      *(u32 *)(r1 + 16) = r4
      r4 = *(u64 *)(r10 - 32)
      r5 = 0
      if r4 == 0 goto left
      r5 = r4
      r5 += -1
    left:
      *(u32 *)(r1 + 12) = r5
      if r4 != 1 goto done
      r9 = value ${gateMap}[${gateHeader}] ll
      r8 <<= ${Math.log2(gateStride)}
      r9 += r8
      call ktime_get_ns
      *(u64 *)(r9 + 8) = r0
      r1 = value ${gateMap}[16] ll
      r2 = 1
      lock *(u32 *)(r1 + 0) += w2
    done:
      r0 = 1
      exit
    late:
      r1 = value ${gateMap}[0] ll
      r2 = 1
      *(u32 *)(r1 + 4) = r2
      r1 = *(u32 *)(r6 + 0)
      r2 = *(u32 *)(r6 + 4)
      r3 = r1
      r3 += ${tagSize}
      if r3 > r2 goto fail
      *(u32 *)(r1 + 8) = 0
      *(u32 *)(r1 + 12) = 0
      *(u32 *)(r1 + 16) = 0
    fail:
      r0 = 0
      exit
    function ${waitName} section "xdp" static
      r3 = *(u64 *)(r2 + 0)
      r1 = value ${gateMap}[0] ll
      r2 = *(u32 *)(r1 + 0)
      r0 = 1
      if r2 >= r3 goto out
      r0 = 0
    out:
      exit
  `);
}

/**
 * Moves of a frame: 8 bytes at 2, 10, 18 … so that no field of the headers of Ethernet,
 * IPv4 and TCP lies in two of them. A load of bytes that two stores are still bringing
 * has to wait for both, which no program pays on a frame that a NIC has written.
 */
function movesOf(size: number): readonly (readonly [number, string])[] {
  return [
    [0, "u16"],
    ...Array.from(
      { length: size / 8 - 1 },
      (_, index) => [2 + 8 * index, "u64"] as const,
    ),
    [size - 6, "u32"],
    [size - 2, "u16"],
  ];
}

function rowSize({ frameSize }: LoopTable): number {
  return Math.ceil((rowHeader + frameSize) / 8) * 8;
}

/** Each core calls its own copy; r8 is the first row of the core. */
function callText(entries: readonly string[], perCore: number): string {
  const call = (entry: string): string =>
    `      call function ${JSON.stringify(entry)}`;
  const [first = "", ...others] = entries;
  return [
    ...others.map(
      (_, index) =>
        `      if r8 == ${(index + 1) * perCore} goto core${index + 1}`,
    ),
    call(first),
    ...others.flatMap((entry, index) => [
      "      goto called",
      `    core${index + 1}:`,
      call(entry),
    ]),
    ...(others.length > 0 ? ["    called:"] : []),
  ].join("\n");
}

/** Puts data, data_end and data_meta where they were: wanted minus present. */
function undoText(undo: ReadonlySet<number>): string {
  const back = (field: number, saved: number, helper: number): string => `
      r1 = *(u32 *)(r6 + ${field})
      r1 -= r10
      r2 = *(u64 *)(r10 - ${saved})
      r2 -= r1
      if r2 == 0 goto kept${helper}
      r1 = r6
      call ${boundsHelpers[helper]}
    kept${helper}:`;
  const meta = `
      r1 = *(u32 *)(r6 + 8)
      r2 = *(u32 *)(r6 + 0)
      r2 -= r1
      if r2 == 0 goto kept54
      r1 = r6
      call ${boundsHelpers[54]}
    kept54:`;
  return [
    undo.has(54) ? meta : "",
    undo.has(44) ? back(0, 16, 44) : "",
    undo.has(44) || undo.has(65) ? back(4, 24, 65) : "",
  ].join("");
}

/** Every function gets a type: an entry as a global one with its arguments. */
function typedFunctions(
  functions: readonly FunctionSpec[],
  entries: ReadonlySet<string>,
  btf: Btf | undefined,
): { readonly functions: readonly FunctionSpec[]; readonly btf: Btf } {
  const types: BtfType[] = [...(btf?.types ?? [{ kind: "void" } as const])];
  const add = (type: BtfType): number => types.push(type) - 1;
  const int = add({
    kind: "int",
    name: "int",
    size: 4,
    bits: 32,
    offset: 0,
    encoding: 1,
  });
  const context = add({
    kind: "struct",
    name: "xdp_md",
    size: 0,
    bitFields: false,
    members: [],
  });
  const pointer = add({ kind: "pointer", type: context });
  const parameters = [
    { name: "ctx", type: pointer },
    { name: "ifindex", type: int },
    { name: "queue", type: int },
  ];
  const entryType = add({ kind: "prototype", type: int, parameters });
  const plainType = add({ kind: "prototype", type: int, parameters: [] });
  const typed = functions.map((fn, index): FunctionSpec => {
    const isEntry = entries.has(fn.name);
    const known =
      fn.btfFunction !== undefined &&
      btf?.types[fn.btfFunction]?.kind === "function";
    if (known && !isEntry) return fn;
    const btfFunction = add({
      kind: "function",
      name: fn.name.replace(/\W/g, "_"),
      type: isEntry ? entryType : plainType,
      linkage: isEntry || index === 0 ? "global" : "static",
    });
    return { ...fn, btfFunction };
  });
  return { functions: typed, btf: { types } };
}
