/**
 * One episode on each machine: interpreter, interpreter of the lifted program, portable
 * engine, kernel. Each leaves a record in one form (proof's), so that machines are
 * compared by comparing records; every episode starts on fresh state.
 *
 * docs/decisions/0009-agreement.md says what the kernel decides by itself.
 */
import { toHex, type Place } from "#base";
import {
  KernelStage,
  asKernelShows,
  isComparable,
  loadPortable,
  type Kernel,
} from "#engine";
import { possibleCpus } from "#host";
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
import type { ProgramSpec } from "#isa";
import {
  Recorder,
  compareRecords,
  dumpState,
  type Comparison,
  type LineWrite,
  type RunRecord,
  type StateRule,
} from "#proof";
import { mapsOf, type Episode, type Subject } from "./subjects.ts";

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
  const loaded = loadPortable(wholeOf(subject, program), {
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
    maps: mapsOf(program, subject.programs),
    entries: (map) => loaded.entries(map),
  });
  return { record: recorder.finish(dump), watched };
}

/** With the programs that it may call by tail: the portable engine wants all in one. */
function wholeOf({ programs }: Subject, program: ProgramSpec): ProgramSpec {
  const all = [program, ...programs].flatMap(({ functions }) => functions);
  const functions = all.filter(
    ({ name }, at) => all.findIndex((fn) => fn.name === name) === at,
  );
  return { ...program, functions, maps: mapsOf(program, programs) };
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
    routes: "varied",
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
