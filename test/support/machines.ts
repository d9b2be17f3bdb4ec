/**
 * One program on one sequence of packets, on four machines: bytecode interpreter,
 * interpreter of the lifted program, portable engine, running kernel. Each leaves a
 * `Trail` in one notation, so that machines are compared by comparing text.
 *
 * The kernel has a clock of its own. Its copy of the program reads the time from a
 * word (`.clock`) that is written before each packet; nothing else is changed:
 *
 *   call ktime_get_ns    →    r0 = value .clock[0] ll
 *                             r0 = *(u64 *)(r0 + 0)
 *
 * A test run has a verdict and a frame, no redirect target; a trail of the kernel
 * has none. docs/decisions/0005-three-machines.md says how targets are seen anyway.
 */
import { deepEqual, equal } from "node:assert/strict";
import { toHex } from "#base";
import { loadPortable, possibleCpus, type Kernel } from "#engine";
import {
  BytecodeMachine,
  IrMachine,
  createState,
  type Observer,
  type Outcome,
  type PacketInput,
} from "#interp";
import { lift, type IrProgram } from "#ir";
import {
  editFunction,
  helperByName,
  mapTypeRow,
  type Edit,
  type FieldLayout,
  type FunctionSpec,
  type Instruction,
  type MapSpec,
  type ProgramSpec,
} from "#isa";
import type { Btf } from "#object";
import {
  dumpState,
  effectsText,
  type LineWrite,
  type MapContents,
  type StateDump,
} from "#proof";

/** Everything that a machine is given besides the program. */
export interface World {
  readonly contents: MapContents;
  readonly packets: readonly PacketInput[];
  /** What user space writes on the way. */
  readonly writes?: readonly LineWrite[];
}

/** What a machine leaves: a line per packet, and the state at the end. */
export interface Trail {
  /** Verdict and frame, then redirect target and events where the machine shows them. */
  readonly packets: readonly {
    readonly seen: string;
    readonly effects?: string;
  }[];
  readonly state: StateDump;
}

/** Copies of per-CPU values: as many as the kernel keeps. */
export const cpus = process.platform === "linux" ? possibleCpus() : 1;

export function onBytecode(
  program: ProgramSpec,
  world: World,
  observer: Observer = {},
): Trail {
  const state = createState(program.maps, { cpus, contents: world.contents });
  return interpreted(
    new BytecodeMachine(program, state, { observer }),
    program,
    world,
  );
}

export function onIr(
  program: ProgramSpec,
  world: World,
  change: (ir: IrProgram) => IrProgram = (ir) => ir,
): Trail {
  const state = createState(program.maps, { cpus, contents: world.contents });
  const machine = new IrMachine(change(lift(program)), state);
  return interpreted(machine, program, world);
}

function interpreted(
  machine: BytecodeMachine | IrMachine,
  program: ProgramSpec,
  { packets, writes = [] }: World,
): Trail {
  const { state } = machine;
  const outcomes = packets.map((packet, at) => {
    for (const { map, key, value } of writesBefore(writes, at))
      equal(state.update(map, key, value), 0);
    return machine.run(packet);
  });
  return trailOf(outcomes, dumpState(state), program);
}

/** The portable engine takes contents when it is loaded: a write loads it anew. */
export function onPortable(
  program: ProgramSpec,
  { contents, packets, writes = [] }: World,
): Trail {
  let portable = loadPortable(program, { cpus, contents });
  const outcomes: Outcome[] = [];
  const cuts = new Set(writes.map(({ before }) => before));
  let first = 0;
  for (const cut of [...cuts, packets.length]) {
    outcomes.push(...portable.run(packets.slice(first, cut)));
    first = cut;
    if (!cuts.has(cut)) continue;
    const state = portable.state();
    for (const { map, key, value } of writesBefore(writes, cut))
      equal(state.update(map, key, value), 0);
    const now = program.maps.map(
      ({ name }) => [name, [...state.entries(name)]] as const,
    );
    portable = loadPortable(program, {
      cpus,
      contents: Object.fromEntries(now),
    });
  }
  return trailOf(outcomes, dumpState(portable.state()), program);
}

function writesBefore(
  writes: readonly LineWrite[],
  at: number,
): readonly LineWrite[] {
  return writes.filter(({ before }) => before === at);
}

export interface KernelOptions {
  readonly kernel: Kernel;
  readonly btf: Btf | undefined;
  /** Leave the program its real clock. */
  readonly ownClock?: boolean;
}

/** Throws a VerifierError where the kernel refuses the program. */
export function onKernel(
  program: ProgramSpec,
  { contents, packets, writes = [] }: World,
  { kernel, btf, ownClock = false }: KernelOptions,
): Trail {
  const given = ownClock ? program : withClock(program);
  const loaded = kernel.load([given], btf === undefined ? {} : { btf });
  try {
    const write = (name: string, key: Uint8Array, value: Uint8Array): void => {
      const map = loaded.map(name);
      map.updateAll(key, copiesOf(map.spec, value));
    };
    for (const [name, entries] of Object.entries(contents))
      for (const { key, value } of entries) write(name, key, value);
    const clock = loaded.maps.get(clockName);
    const run = loaded.program();
    const lines = packets.map(({ data, time, ifindex, rxQueue, cpu }, at) => {
      for (const { map, key, value } of writesBefore(writes, at))
        write(map, key, value);
      clock?.update(new Uint8Array(4), word(time));
      const result = run.testRun(data, { ifindex, rxQueue, cpu });
      return { seen: `${result.verdict} ${toHex(result.data)}` };
    });
    const state = new Map<string, ReadonlyMap<string, readonly string[]>>();
    for (const spec of comparable(program)) {
      const indexed = mapTypeRow(spec.type).indexed === true;
      const cells = new Map<string, readonly string[]>();
      for (const [key, values] of loaded.map(spec.name).entries())
        if (
          !indexed ||
          values.some((value) => value.some((byte) => byte !== 0))
        )
          cells.set(toHex(key), values.map(toHex));
      state.set(spec.name, cells);
    }
    return { packets: lines, state };
  } finally {
    loaded.close();
  }
}

/** The first difference, in words; redirect targets only where both show them. */
export function difference(want: Trail, have: Trail): string | undefined {
  for (const [index, line] of want.packets.entries()) {
    const other = have.packets[index];
    if (line.seen !== other?.seen)
      return `packet ${index}: ${line.seen}, but ${other?.seen}`;
    if (
      line.effects !== undefined &&
      other.effects !== undefined &&
      line.effects !== other.effects
    )
      return `packet ${index}: ${line.effects}, but ${other.effects}`;
  }
  try {
    deepEqual(have.state, want.state);
    return undefined;
  } catch (error) {
    return `state: ${String(error)}`;
  }
}

/** The trail with these members of map values set to zero. */
export function withoutFields(
  trail: Trail,
  program: ProgramSpec,
  fields: readonly string[],
): Trail {
  const state = program.maps.flatMap(({ name, valueFields = [] }) => {
    const hidden = valueFields.filter(({ path }) => fields.includes(path));
    const cells = [...(trail.state.get(name) ?? [])].map(
      ([key, values]) =>
        [key, values.map((value) => zeroed(value, hidden))] as const,
    );
    return trail.state.has(name) ? [[name, new Map(cells)] as const] : [];
  });
  return { ...trail, state: new Map(state) };
}

function zeroed(value: string, fields: readonly FieldLayout[]): string {
  return fields.reduce((text, { bitOffset, bits }) => {
    const [from, size] = [bitOffset / 4, bits / 4];
    return `${text.slice(0, from)}${"0".repeat(size)}${text.slice(from + size)}`;
  }, value);
}

const clockName = ".clock";

/** The program with its clock in the map `.clock`; the same program if it has none. */
export function withClock(program: ProgramSpec): ProgramSpec {
  const functions = program.functions.map((fn) =>
    editFunction(fn, clockEdits(fn)),
  );
  const clock: MapSpec = {
    name: clockName,
    type: "array",
    keySize: 4,
    valueSize: 8,
    maxEntries: 1,
    flags: 0,
    section: clockName,
    readOnly: false,
  };
  const isUsed = program.functions.some((fn) => clockEdits(fn).length > 0);
  return isUsed
    ? { ...program, functions, maps: [...program.maps, clock] }
    : program;
}

function clockEdits(fn: FunctionSpec): Edit[] {
  const number = helperByName("ktime_get_ns")?.number;
  const read: readonly Instruction[] = [
    {
      kind: "load-wide",
      dst: 0,
      value: { kind: "map-value", map: clockName, offset: 0 },
    },
    { kind: "load", size: 8, signed: false, dst: 0, base: 0, offset: 0 },
  ];
  return fn.instructions.flatMap((instruction, at): Edit[] =>
    instruction.kind === "call" &&
    instruction.callee.kind === "helper" &&
    instruction.callee.helper === number
      ? [{ kind: "replace", at, instructions: read }]
      : [],
  );
}

/** Maps whose cells user space can read back; the others hold objects of the kernel. */
export function comparable(program: ProgramSpec): readonly MapSpec[] {
  return program.maps.filter(({ type }) =>
    /^(lru_)?(percpu_)?(hash|array)$|^lpm_trie$/.test(type),
  );
}

function trailOf(
  outcomes: readonly Outcome[],
  state: StateDump,
  program: ProgramSpec,
): Trail {
  const packets = outcomes.map((outcome) => ({
    seen:
      outcome.fault === undefined
        ? `${outcome.verdict} ${toHex(outcome.data)}`
        : `fault: ${outcome.fault.text}`,
    effects: effectsText(outcome),
  }));
  const names = new Set(comparable(program).map(({ name }) => name));
  return {
    packets,
    state: new Map([...state].filter(([name]) => names.has(name))),
  };
}

function copiesOf(spec: MapSpec, value: Uint8Array): Uint8Array[] {
  if (mapTypeRow(spec.type).perCpu !== true) return [value];
  const stride = (spec.valueSize + 7) & ~7;
  return Array.from({ length: cpus }, (_, cpu) =>
    value.slice(cpu * stride, cpu * stride + spec.valueSize),
  );
}

function word(time: bigint): Uint8Array {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, time, true);
  return bytes;
}
