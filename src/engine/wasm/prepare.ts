/**
 * What happens before a program can run: options, compilation, memory. All of it is
 * plain data that other threads can be given.
 */
import { Bug } from "../../base/index.ts";
import {
  compile,
  pageSize,
  type CompiledProgram,
  type Control,
  type CoreOf,
  type GuardOptions,
} from "../../codegen/index.ts";
import type { Environment, MapEntry } from "../../interp/index.ts";
import type { ProgramSpec } from "../../isa/index.ts";
import {
  compileModule,
  newMemory,
  type Memory,
  type Module,
} from "./web-assembly.ts";

/**
 * A core's place in a memory that several cores run in at once. The program loaded
 * without `memory` makes one and fills the maps; those loaded with the memory of that
 * one (its `view.memory`, which may be posted to other threads) only join. All must be
 * loaded with the same program, cpus, capacities, cores and contents of maps of maps,
 * and each core once; a thread that only looks takes a core as well.
 */
export interface Seat extends CoreOf {
  readonly memory?: Memory;
}

export interface LoadOptions {
  /** CPUs that per-CPU maps have copies for; packets name one. Default 8. */
  readonly cpus?: number;
  /** Entries of a map instead of its max_entries, by name. */
  readonly capacities?: Readonly<Record<string, number>>;
  /** First contents of maps, by name. */
  readonly contents?: Readonly<Record<string, readonly MapEntry[]>>;
  /** For bpf_get_prandom_u32, as interp's. Default 1. */
  readonly seed?: number;
  /** Loop entries of one packet before it faults. Default 2^24. */
  readonly budget?: number;
  /** Routes and MTU, as interp's. */
  readonly environment?: Environment;
  /** How control flow is compiled; both give the same results. */
  readonly control?: Control;
  /** Who has its memory. Default "private". */
  readonly memory?: "private" | "watched" | Seat;
  /** Of cores of one memory: what keeps them apart. */
  readonly guard?: GuardOptions;
  /** For tests: called before each helper call, with the slot of the packet in hand. */
  readonly beforeHelper?: (slot: number) => void;
  /** For tests of tests: changes the module before it is instantiated. */
  readonly tamper?: (bytes: Uint8Array) => Uint8Array;
}

/** What a program needs to be run; other threads can be given it as it is. */
export interface PreparedProgram {
  readonly compiled: Omit<CompiledProgram, "bytes">;
  readonly module: Module;
  readonly memory: Memory;
}

/** One more memory for the same program. */
export function anotherMemory(prepared: PreparedProgram): PreparedProgram {
  const { pages } = prepared.compiled.layout;
  const shared = prepared.memory.buffer instanceof SharedArrayBuffer;
  return { ...prepared, memory: newMemory(pages, shared) };
}

/** Compiles the program and makes its memory; nothing is in it yet. */
export function preparePortable(
  program: ProgramSpec,
  options: LoadOptions = {},
): PreparedProgram {
  const { memory = "private", tamper = (bytes) => bytes } = options;
  const { bytes, ...compiled } = compile(program, {
    cpus: options.cpus ?? 8,
    capacities: options.capacities ?? {},
    ...(options.budget === undefined ? {} : { budget: options.budget }),
    memory,
    inner: innerNames(program, options.contents ?? {}),
    ...(options.control === undefined ? {} : { control: options.control }),
    ...(options.guard === undefined ? {} : { guard: options.guard }),
  });
  const { pages } = compiled.layout;
  const joined = joinedMemory(options);
  if (joined !== undefined && joined.buffer.byteLength !== pages * pageSize)
    throw new Bug(
      `${program.file}: a memory of ${joined.buffer.byteLength} bytes to join, but the program has ${pages * pageSize}`,
    );
  return {
    compiled,
    module: compileModule(tamper(bytes)),
    memory: joined ?? newMemory(pages, memory !== "private"),
  };
}

/** Names in the contents of maps of maps: maps to be made of the template. */
function innerNames(
  { maps }: ProgramSpec,
  contents: Readonly<Record<string, readonly MapEntry[]>>,
): Readonly<Record<string, readonly string[]>> {
  return Object.fromEntries(
    maps
      .filter(({ inner }) => inner !== undefined)
      .map(({ name }) => [
        name,
        (contents[name] ?? []).map(({ value }) =>
          new TextDecoder().decode(value),
        ),
      ]),
  );
}

/** The memory that the program joins, instead of having its own. */
export function joinedMemory({
  memory = "private",
}: LoadOptions): Memory | undefined {
  return typeof memory === "string" ? undefined : memory.memory;
}
