/**
 * One program, one sequence of packets, one answer: interpreter, interpreter of the
 * lifted program, portable engine and kernel, packet by packet.
 *
 * A subject is a program with the maps filled that user space would fill, and a line
 * of packets that covers its branches. An episode is that line, with what user space
 * writes on the way, and mutants of its packets behind it; every episode starts on
 * fresh state, and at its end all states are compared.
 *
 * docs/decisions/0009-agreement.md says what is the kernel's own choice.
 */
import { readFileSync } from "node:fs";
import { basename } from "node:path";
import { Random, toHex, type Place } from "#base";
import {
  KernelStage,
  asKernelShows,
  isComparable,
  loadPortable,
  possibleCpus,
  testRunTakes,
  type Kernel,
} from "#engine";
import {
  BytecodeMachine,
  IrMachine,
  createState,
  variedEnvironment,
  type Observer,
  type Outcome,
  type PacketInput,
} from "#interp";
import { lift, type IrProgram } from "#ir";
import { mapTypeRow, type MapSpec, type ProgramSpec } from "#isa";
import {
  hasVariable,
  programSpec,
  readObject,
  setVariable,
  type ObjectSpec,
} from "#object";
import {
  Recorder,
  compareRecords,
  coverProgram,
  dumpState,
  packetMutants,
  type Comparison,
  type Cover,
  type LineWrite,
  type MapContents,
  type RunRecord,
  type StateRule,
} from "#proof";

/** Interfaces that packets come from and device maps lead to; made for the test. */
export const ports = [11, 12, 13] as const;

export interface Subject {
  readonly name: string;
  readonly object: ObjectSpec;
  readonly program: ProgramSpec;
  /** Where tail calls may lead. */
  readonly programs: readonly ProgramSpec[];
  readonly contents: MapContents;
  readonly cover: Cover;
  /** CPUs that packets name. */
  readonly cpus: number;
  readonly seed: number;
}

export interface SubjectOptions {
  readonly seed: number;
  readonly entry: string;
  /** Runs that the search for the covering line may spend. */
  readonly budget?: number;
  /** Variables of `.rodata`, by name. */
  readonly set?: Readonly<Record<string, string>>;
}

export interface Episode {
  readonly packets: readonly PacketInput[];
  readonly writes: readonly LineWrite[];
}

/** Names of programs in the file that a test run takes. */
export function entriesOf(path: string): string[] {
  return readObject(readFileSync(path), basename(path))
    .programs.filter(({ type }) => type === "xdp" || type === "sched_cls")
    .map(({ name }) => name);
}

export function subjectOf(path: string, options: SubjectOptions): Subject {
  const { seed, entry, budget = 6_000 } = options;
  const object = configured(
    readObject(readFileSync(path), basename(path)),
    options.set ?? {},
  );
  const own = programSpec(object, { entry });
  const others = object.programs
    .filter(({ name, type }) => type === own.type && name !== entry)
    .slice(0, 8)
    .map(({ name }) => programSpec(object, { entry: name }));
  const hasTailCalls = own.maps.some(({ type }) => type === "prog_array");
  const programs = hasTailCalls ? others : [];
  const fill = (program: ProgramSpec): ProgramSpec => ({
    ...program,
    maps: filledMaps(program.maps, [
      entry,
      ...programs.map(({ name }) => name),
    ]),
  });
  const program = fill(own);
  const contents = devices(program);
  const cpus = program.maps.some(isPerCpu) ? possibleCpus() : 8;
  const cover = coverProgram(program, {
    state: createState(mapsOf(program, programs.map(fill)), { cpus, contents }),
    programs: programs.map(fill),
    seed,
    budget,
    ports,
    shortest: 14,
    userWrites: "read-only",
    frozen: unwritable(program),
    environment: variedEnvironment,
  });
  return {
    name: `${basename(path, ".o")}/${entry}`,
    object,
    program,
    programs: programs.map(fill),
    contents,
    cover,
    cpus,
    seed,
  };
}

/** Frozen data, and maps that take no bytes of the search's. */
function unwritable({ maps }: ProgramSpec): string[] {
  return maps
    .filter(
      ({ type, readOnly }) =>
        readOnly || /^devmap|^cpumap|^xskmap|_of_maps$|^prog_array/.test(type),
    )
    .map(({ name }) => name);
}

function mapsOf(
  program: ProgramSpec,
  programs: readonly ProgramSpec[],
): readonly MapSpec[] {
  const maps = new Map<string, MapSpec>();
  for (const each of [program, ...programs])
    for (const map of each.maps) maps.set(map.name, map);
  return [...maps.values()];
}

function isPerCpu(map: MapSpec): boolean {
  return (
    mapTypeRow(map.type).perCpu === true ||
    (map.inner !== undefined && isPerCpu(map.inner))
  );
}

function configured(
  object: ObjectSpec,
  set: Readonly<Record<string, string>>,
): ObjectSpec {
  const values: Readonly<Record<string, string>> = {
    lan_ifindex: String(ports[0]),
    wan_ifindex: String(ports[1]),
    // libxdp's dispatcher: all ten programs, each followed by the next.
    "conf.num_progs_enabled": "10",
    ...Object.fromEntries(
      Array.from({ length: 10 }, (_, at) => [
        `conf.chain_call_actions[${at}]`,
        String(2 ** 32 - 1),
      ]),
    ),
    ...set,
  };
  let changed = object;
  for (const [name, value] of Object.entries(values))
    if (name in set || hasVariable(object, name))
      changed = setVariable(changed, name, value);
  return changed;
}

/** Small enough to fill up; LRU large enough never to evict; links lead somewhere. */
function filledMaps(
  maps: readonly MapSpec[],
  functions: readonly string[],
): readonly MapSpec[] {
  return maps.flatMap((map): MapSpec[] => {
    const sized = { ...map, maxEntries: entriesFor(map) };
    if (map.values !== undefined) return [sized];
    if (map.type === "prog_array") {
      const values = functions
        .slice(0, sized.maxEntries)
        .map((name, index) => ({
          index,
          target: { kind: "function", name } as const,
        }));
      return [{ ...sized, values }];
    }
    if (map.inner !== undefined && map.keySize === 4) {
      const { inner } = map;
      const names = [0, 1, 3]
        .filter((index) => index < sized.maxEntries)
        .map((index) => ({ index, name: `${map.name}.${index}` }));
      const values = names.map(({ index, name }) => ({
        index,
        target: { kind: "map", name } as const,
      }));
      return [
        { ...sized, values },
        ...names.map(({ name }) => ({ ...inner, name })),
      ];
    }
    return [sized];
  });
}

const forLru = 32_768;

function entriesFor({ type, maxEntries, inner }: MapSpec): number {
  if (inner !== undefined || type === "ringbuf") return maxEntries;
  if (type.startsWith("lru_")) return forLru;
  if (type === "perf_event_array") return 8;
  const most = type.endsWith("hash") || type === "lpm_trie" ? 48 : 256;
  return Math.min(maxEntries === 0 ? 8 : maxEntries, most);
}

/** Most slots lead to an interface or CPU, some nowhere. */
function devices(program: ProgramSpec): MapContents {
  const entries = program.maps
    .filter(
      ({ type, keySize }) => /^devmap|^cpumap/.test(type) && keySize === 4,
    )
    .map(({ name, type, valueSize, maxEntries }) => {
      const cells = Array.from(
        { length: Math.min(maxEntries, 24) },
        (_, at) => {
          const value = new Uint8Array(valueSize);
          const view = new DataView(value.buffer);
          view.setUint32(
            0,
            type === "cpumap" ? 64 : (ports[at % 3] ?? 0),
            true,
          );
          return { key: number(at), value };
        },
      );
      const isReal = (_: unknown, at: number): boolean =>
        type === "cpumap" ? at < possibleCpus() : at % 4 !== 3;
      return [name, cells.filter(isReal)] as const;
    });
  return Object.fromEntries(entries);
}

function number(value: number): Uint8Array {
  return new Uint8Array(Uint32Array.of(value).buffer);
}

/** The covering line, then mutants of it: `count` packets, other ones for each index. */
export function episodeOf(
  { program, cover, cpus, seed }: Subject,
  index: number,
  count: number,
): Episode {
  const random = new Random(seed).fork(index);
  const takes = (packet: PacketInput): boolean =>
    testRunTakes(program.type, packet);
  const whole = cover.packets.slice(0, count);
  const line = whole.filter(takes);
  const mutants = packetMutants(program, cover.packets, {
    count: count - line.length,
    seed: random.u32(),
    ports,
    shortest: 14,
    after: line.at(-1)?.time ?? 0n,
  });
  const packets = [...line, ...mutants.filter(takes)].map((packet, at) => ({
    ...packet,
    // The search tries other interfaces too.
    ifindex: ports.find((port) => port === packet.ifindex) ?? ports[2],
    rxQueue: random.below(4),
    // In runs: going to another real CPU is slow.
    cpu: (at >> 6) % cpus,
    random: random.u32(),
  }));
  const writes = cover.writes
    .filter(({ before }) => before < whole.length)
    .map((write) => ({
      ...write,
      before: whole.slice(0, write.before).filter(takes).length,
    }));
  return { packets, writes };
}

/** Stretches of an episode without writes by user space. */
function stretches({ packets, writes }: Episode): {
  readonly first: number;
  readonly packets: readonly PacketInput[];
  readonly writes: readonly LineWrite[];
}[] {
  const cuts = [...new Set([0, ...writes.map(({ before }) => before)])].sort(
    (left, right) => left - right,
  );
  return cuts.map((first, at) => ({
    first,
    packets: packets.slice(first, cuts[at + 1] ?? packets.length),
    writes: writes.filter(({ before }) => before === first),
  }));
}

/** What a machine left, and what it showed of the packets asked for. */
export interface Ran {
  readonly record: RunRecord;
  readonly watched: ReadonlyMap<number, Outcome>;
}

export type MachineName = "interp" | "ir" | "portable" | "kernel";

export interface RunOptions {
  readonly observer?: Observer;
  /** Packets whose outcome is kept. */
  readonly watch?: ReadonlySet<number>;
  /** The program that it runs instead. */
  readonly program?: ProgramSpec;
  readonly change?: (ir: IrProgram) => IrProgram;
}

const noPackets: ReadonlySet<number> = new Set();

export function runInterp(
  subject: Subject,
  episode: Episode,
  options: RunOptions = {},
): Ran {
  const { program = subject.program, observer = {} } = options;
  const state = stateOf(subject);
  const { programs, seed } = subject;
  const machine = new BytecodeMachine(program, state, {
    observer,
    programs,
    seed,
    environment: variedEnvironment,
  });
  return interpreted(machine, episode, options);
}

export function runIr(
  subject: Subject,
  episode: Episode,
  options: RunOptions = {},
): Ran {
  const { program = subject.program, change = (ir) => ir } = options;
  const machine = new IrMachine(change(lift(program)), stateOf(subject), {
    seed: subject.seed,
    environment: variedEnvironment,
  });
  return interpreted(machine, episode, options);
}

function stateOf({ program, programs, cpus, contents }: Subject) {
  return createState(mapsOf(program, programs), { cpus, contents });
}

function interpreted(
  machine: BytecodeMachine | IrMachine,
  episode: Episode,
  { watch = noPackets }: RunOptions,
): Ran {
  const { state } = machine;
  const recorder = new Recorder(episode.packets.length);
  const watched = new Map<number, Outcome>();
  for (const { first, packets, writes } of stretches(episode)) {
    for (const { map, key, value } of writes) state.update(map, key, value);
    for (const [at, input] of packets.entries()) {
      const outcome = asKernelShows(machine.run(input));
      recorder.add(first + at, input, outcome);
      if (watch.has(first + at)) watched.set(first + at, outcome);
    }
  }
  return { record: recorder.finish(dumpState(state)), watched };
}

/** Throws an UnsupportedError where the engine lacks something. */
export function runPortable(
  subject: Subject,
  episode: Episode,
  options: RunOptions = {},
): Ran {
  const { program = subject.program, watch = noPackets } = options;
  const { cpus, contents, seed } = subject;
  const loaded = loadPortable(program, {
    cpus,
    contents,
    seed,
    environment: variedEnvironment,
  });
  const recorder = new Recorder(episode.packets.length);
  const watched = new Map<number, Outcome>();
  for (const { first, packets, writes } of stretches(episode)) {
    for (const { map, key, value } of writes)
      loaded.load(map, [{ key, value }]);
    let done = first;
    loaded.runBatches(packets, (index, input) => {
      const outcome = asKernelShows(loaded.outcome(index));
      recorder.add(done, input, outcome);
      if (watch.has(done)) watched.set(done, outcome);
      done++;
    });
  }
  const dump = dumpState({
    maps: program.maps,
    entries: (map) => loaded.entries(map),
  });
  return { record: recorder.finish(dump), watched };
}

export interface KernelRunOptions extends RunOptions {
  readonly kernel: Kernel;
  /** With the kernel's own clock, random numbers and CPU. */
  readonly asIs?: boolean;
}

/** Throws a VerifierError where the kernel refuses the program. */
export function runKernel(
  subject: Subject,
  episode: Episode,
  options: KernelRunOptions,
): Ran & { readonly rewritten: number } {
  const { program = subject.program, watch = noPackets, kernel } = options;
  const { cpus, contents, seed, object, programs } = subject;
  const { btf } = object;
  const stage = new KernelStage(kernel, program, {
    cpus: options.asIs === true ? Math.min(cpus, possibleCpus()) : cpus,
    contents,
    seed,
    programs,
    ...(btf === undefined ? {} : { btf }),
    asIs: options.asIs === true,
  });
  try {
    const { runs } = stage;
    const recorder = new Recorder(episode.packets.length);
    const watched = new Map<number, Outcome>();
    for (const { first, packets, writes } of stretches(episode)) {
      for (const { map, key, value } of writes) stage.update(map, key, value);
      stage.run(packets, (at) => {
        if (watch.has(first + at)) {
          const outcome = runs.outcome();
          watched.set(first + at, outcome);
          const output = runs.changed ? outcome.data : undefined;
          recorder.note(first + at, runs.verdict, output, outcome);
          return;
        }
        const output = runs.changed ? runs.frame : undefined;
        recorder.note(first + at, runs.verdict, output, runs.effects());
      });
    }
    const record = recorder.finish(stage.dump());
    return { record, watched, rewritten: stage.rewritten.length };
  } finally {
    stage.close();
  }
}

/** Maps that user space cannot read in some machine. */
export function rulesOf(subject: Subject): ReadonlyMap<string, StateRule> {
  return new Map(
    mapsOf(subject.program, subject.programs)
      .filter((map) => !isComparable(map))
      .map(({ name }) => [name, { kind: "unread" }]),
  );
}

export function compared(subject: Subject, want: Ran, have: Ran): Comparison {
  return compareRecords(want.record, have.record, rulesOf(subject));
}

/** Branch edges of the bytecode that runs took, told apart cheaply. */
export class Edges {
  readonly #seen = new Map<Place, number>();
  readonly observer: Observer = {
    branch: (at, taken) => {
      const before = this.#seen.get(at) ?? 0;
      const now = before | (taken ? 2 : 1);
      if (now !== before) this.#seen.set(at, now);
    },
  };

  /** Those of the program itself, without what it calls by tail. */
  names({ functions }: ProgramSpec): Set<string> {
    const names = new Set<string>();
    const own = new Set(functions.map(({ name }) => name));
    for (const [at, bits] of this.#seen) {
      if (!own.has(at.function)) continue;
      if ((bits & 1) !== 0) names.add(edgeText({ ...at, taken: false }));
      if ((bits & 2) !== 0) names.add(edgeText({ ...at, taken: true }));
    }
    return names;
  }
}

export function edgeText({
  function: fn,
  instruction,
  taken,
}: Place & { readonly taken: boolean }): string {
  return `${fn}+${instruction} ${taken}`;
}

export function outcomeText(outcome: Outcome | undefined): string {
  if (outcome === undefined) return "nothing";
  const { verdict, data, redirect, events, fault } = outcome;
  const target =
    redirect === undefined
      ? ""
      : ` to ${redirect.map ?? redirect.ifindex}[${redirect.key}] ${redirect.flags}`;
  const sent = events.map(
    ({ kind, map, data: bytes }) => ` ${kind} ${map} ${toHex(bytes)}`,
  );
  const wrong = fault === undefined ? "" : ` FAULT ${fault.text}`;
  return `${verdict} ${toHex(data)}${target}${sent.join("")}${wrong}`;
}
