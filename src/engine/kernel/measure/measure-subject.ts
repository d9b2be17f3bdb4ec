/**
 * A program made ready to be measured: loaded in a loop over packets, with one set of
 * maps for all cores (shared state) or one for each (private state).
 *
 * A program that cannot be put into the loop is measured by repeating one packet, on
 * one core; `how` says which it was.
 */
import {
  InputError,
  UnsupportedError,
  VerifierError,
} from "../../../base/index.ts";
import type { MapEntry } from "../../../interp/index.ts";
import {
  parseFunction,
  type MapSpec,
  type ProgramSpec,
} from "../../../isa/index.ts";
import type { Btf } from "../../../object/index.ts";
import type { KernelMap } from "../load/kernel-map.ts";
import type { KernelProgram } from "../load/kernel-program.ts";
import type { Kernel } from "../kernel.ts";
import type { LoadedPrograms } from "../load/loaded-programs.ts";
import { copyName } from "./loop-copies.ts";
import {
  gateMap,
  loopLength,
  loopProgram,
  tagFrame,
  type LoopProgram,
  type LoopTable,
  type Row,
} from "./loop-program.ts";

/** Frames are as long as the longest one, within these. */
const leastFrame = 64;
const mostFrame = 128;

export interface SubjectOptions {
  /** By core; each at least one packet. */
  readonly packets: readonly (readonly Row[])[];
  /** First contents of maps, by name. */
  readonly contents?: Readonly<Record<string, readonly MapEntry[]>>;
  /** Types of the object that the program comes from. */
  readonly btf?: Btf;
  /** One set of maps for all cores, or one for each. Default: shared. */
  readonly state?: "shared" | "private";
  /** Bytes of the frames; default: as the packets need, 64 to 128. */
  readonly frameSize?: number;
  /** `repeat`: one packet over and over, no loop. Default: the loop where it can be. */
  readonly how?: "loop" | "repeat";
}

export interface Subject {
  readonly name: string;
  /** By core, the same one again. */
  readonly programs: readonly KernelProgram[];
  readonly how: "loop" | "repeat";
  readonly packetsPerCall: number;
  readonly frameSize: number;
  readonly rewritten: readonly string[];
  readonly undone: readonly string[];
  /** What could not be done as asked. */
  readonly notes: readonly string[];
  readonly frame: (tag: {
    readonly core: number;
    readonly waitFor: number;
    readonly calls: number;
  }) => Uint8Array;
  readonly gate: (() => Uint8Array) | undefined;
  readonly resetGate: () => void;
  readonly map: (name: string, core?: number) => KernelMap;
  readonly close: () => void;
}

/** A program that does nothing: what measuring itself costs. */
export const emptyProgram: ProgramSpec = {
  file: "empty",
  name: "empty",
  section: "xdp",
  type: "xdp",
  license: "GPL",
  functions: [parseFunction("function empty\n r0 = 2\n exit")],
  maps: [],
};

export function frameSizeFor(packets: readonly (readonly Row[])[]): number {
  let longest = leastFrame;
  for (const list of packets)
    for (const { data } of list) longest = Math.max(longest, data.length);
  return Math.min(mostFrame, Math.ceil(longest / 8) * 8);
}

export function prepareSubject(
  kernel: Kernel,
  program: ProgramSpec,
  options: SubjectOptions,
): Subject {
  const { packets, btf, contents = {} } = options;
  const cores = packets.length;
  if (cores === 0 || packets.some((list) => list.length === 0))
    throw new InputError("each core needs a packet to be measured on", {
      code: "measure-no-packets",
    });
  const frameSize = options.frameSize ?? frameSizeFor(packets);
  const table: LoopTable = { rows: packets, frameSize };
  const copies = options.state === "private" ? cores : 1;
  const made =
    options.how === "repeat"
      ? undefined
      : loadLoop(kernel, program, { table, btf, copies });
  if (made === undefined)
    return repeated(kernel, program, { ...options, frameSize });
  const { loaded, loop } = made;
  const notes = fillMaps(loaded, contents, copies);
  const gate = loaded.map(gateMap);
  const index = new Uint8Array(4);
  const zero = new Uint8Array(gate.spec.valueSize);
  return {
    name: program.name,
    programs: packets.map(() => loaded.program()),
    how: "loop",
    packetsPerCall: loopLength,
    frameSize,
    rewritten: loop.rewritten,
    undone: loop.undone,
    notes,
    frame: (tag) => tagFrame(frameSize, tag),
    gate: () => gate.lookup(index) ?? zero,
    resetGate: () => gate.update(index, zero),
    map: (name, core = 0) =>
      loaded.map(copies === 1 ? name : copyName(name, core)),
    close: () => loaded.close(),
  };
}

/** With the object's types; without them if the kernel refuses those; or not at all. */
function loadLoop(
  kernel: Kernel,
  program: ProgramSpec,
  options: { table: LoopTable; btf: Btf | undefined; copies: number },
): { loaded: LoadedPrograms; loop: LoopProgram } | undefined {
  const { table, btf, copies } = options;
  const untyped = (map: MapSpec): MapSpec => {
    const { btfKey: _key, btfValue: _value, ...rest } = map;
    return rest;
  };
  const attempts = [
    ...(btf === undefined ? [] : [{ program, btf }]),
    {
      program: { ...program, maps: program.maps.map(untyped) },
      btf: undefined,
    },
  ];
  for (const attempt of attempts) {
    const loop = loopProgram(attempt.program, table, {
      copies,
      ...(attempt.btf === undefined ? {} : { btf: attempt.btf }),
    });
    if (loop === undefined) return undefined;
    try {
      return { loaded: kernel.load([loop.program], { btf: loop.btf }), loop };
    } catch (error) {
      if (!(error instanceof VerifierError || error instanceof InputError))
        throw error;
    }
  }
  return undefined;
}

function repeated(
  kernel: Kernel,
  program: ProgramSpec,
  options: SubjectOptions & { frameSize: number },
): Subject {
  const { packets, contents = {}, btf } = options;
  const row = packets[0]?.[0];
  if (packets.length > 1 || row === undefined)
    throw new UnsupportedError(
      `${program.name} cannot be called from a measuring loop, so only one core can be measured`,
      { feature: "measuring loop", fix: "--cores 1" },
    );
  const loaded = kernel.load([program], btf === undefined ? {} : { btf });
  return {
    name: program.name,
    programs: [loaded.program(program.name)],
    how: "repeat",
    packetsPerCall: 1,
    frameSize: row.data.length,
    rewritten: [],
    undone: [],
    notes: [
      ...fillMaps(loaded, contents, 1),
      "one packet repeated: the program cannot be called from a loop",
    ],
    frame: () => row.data,
    gate: undefined,
    resetGate: () => {},
    map: (name) => loaded.map(name),
    close: () => loaded.close(),
  };
}

function fillMaps(
  loaded: LoadedPrograms,
  contents: Readonly<Record<string, readonly MapEntry[]>>,
  copies: number,
): string[] {
  const notes: string[] = [];
  for (const [name, entries] of Object.entries(contents))
    for (let core = 0; core < copies; core++) {
      const map = loaded.maps.get(copies === 1 ? name : copyName(name, core));
      if (map === undefined) continue;
      try {
        for (const { key, value } of entries)
          map.update(key, value.subarray(0, map.spec.valueSize));
      } catch (error) {
        if (!(error instanceof InputError)) throw error;
        if (core === 0) notes.push(`${error.message}; the rest is left empty`);
      }
    }
  return notes;
}
