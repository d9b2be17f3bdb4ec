/**
 * The differential run: the emitted program, steered as the NIC would steer,
 * against the sequential program in arrival order.
 *
 * Pass 1 runs the sequential program in the interpreter, one core, full
 * capacity, and records outcomes, touched cells and coverage. A sharded cell
 * that two cores touch is a failure (ownership.ts).
 * Pass 2 runs the emitted bytes with every packet on its core and compares: on
 * one shared state, as the kernel holds it, and on private ones (private-runs.ts).
 * A packet counts as a mismatch at most once per kind of difference.
 *
 * What an episode is: packets in order on a fresh state. Coverage packets and
 * the user's trace are episodes of their own, so that neither hides the other.
 *
 * Not promised: that no other packet differs. The certificate says what was
 * reached; ownership and equality are tested here, not proved.
 */
import { VerifierError, printPlace, type Place } from "../base/index.ts";
import {
  BytecodeMachine,
  createState,
  type Outcome,
  type PacketInput,
} from "../interp/index.ts";
import { programTypeRow, type ProgramSpec } from "../isa/index.ts";
import {
  AccessCounter,
  weaknessesOf,
  type LeftOut,
  type Tested,
} from "./certificate.ts";
import { Answering, type Answers } from "./answering.ts";
import { heldAt, isLive } from "./chain-view.ts";
import { OwnedCells } from "./owned-cells.ts";
import { SecondPass, type Judged, type Partition } from "./second-pass.ts";
import { TouchNotes } from "./touch-notes.ts";
import { compareRecords, type Mismatch, type StateRule } from "./compare.ts";
import { faultCounts } from "./fault-counts.ts";
import { Ownership, type Steering } from "./ownership.ts";
import { runPrivately } from "./private-runs.ts";
import { negatedBranches } from "./program-mutants.ts";
import {
  Recorder,
  type MapContents,
  type Runner,
  type RunRecord,
  type StateDump,
} from "./record.ts";
import { dumpState } from "./state-dump.ts";

/** Packets in order on a fresh state. */
export interface Episode {
  readonly name: string;
  readonly packets: readonly PacketInput[];
  /** Per packet, what the NIC sees of it as a number; equal numbers are steered alike. */
  readonly steering: readonly number[];
  /** Packets that are made in the run, of what an earlier one became. */
  readonly answers?: Answers;
  /** What of it the engine does not take; default: nothing. */
  readonly leftOut?: LeftOut;
}

/** A wrong steering that the check must catch. */
export interface SteeringMutant {
  readonly name: string;
  /** Made when it is judged; a conflict under any of them is a catch. */
  readonly steerings: () => readonly Steering[];
}

/** A state access known from analysis; never touched means untested. */
export interface KnownAccess {
  readonly at: Place;
  readonly object: string;
  readonly writes: boolean;
}

export interface DifferentialOptions {
  readonly sequential: ProgramSpec;
  readonly contents: MapContents | undefined;
  readonly episodes: readonly Episode[];
  /** Objects of which every cell must have one owner. */
  readonly sharded: ReadonlySet<string>;
  readonly rules: ReadonlyMap<string, StateRule>;
  readonly cores: number;
  readonly steering: Steering;
  /** How the state is parted; absent: the plan promises what the whole state gives. */
  readonly partition?: Partition;
  /** What the NIC sees of a packet that a run made; needed with answers. */
  readonly intern?: (packet: PacketInput) => number;
  /** Finer than cores (table entries), where equal owners are promised that far. */
  readonly entries?: Steering;
  /** Runs a program of the emitted object on fresh state. */
  readonly runEmitted: (program?: ProgramSpec) => Runner;
  /** Runs it on private state of one core, at that core's share of each capacity. */
  readonly runPrivate: (core: number) => Runner;
  /** Capacity per core of every sharded object. */
  readonly shares: ReadonlyMap<string, readonly number[]>;
  /** Partitioned: where the emitted state differs from that of the cores' runs. */
  readonly partitionedState?: (
    parted: Judged,
    emitted: StateDump,
  ) => readonly string[];
  /** The emitted program, for its mutants. */
  readonly emitted: ProgramSpec;
  readonly steeringMutants: readonly SteeringMutant[];
  readonly accesses: readonly KnownAccess[];
  /** Verdict names the program can return. */
  readonly verdicts: readonly string[];
  /** Edges that analysis excludes, as `function+instruction:taken`. */
  readonly infeasible?: ReadonlySet<string>;
  readonly seed: number;
  /** Name of what `runEmitted` runs on. */
  readonly engine: "wasm" | "interp" | "kernel";
  /** Calls of the emitted program that the engine does not run as they are. */
  readonly rewrittenCalls?: readonly string[];
  /** An outcome of the reference as the engine can show one. */
  readonly shown?: (outcome: Outcome) => Outcome;
  readonly onProgress?: (done: number, total: number) => void;
}

/** Runs both passes and the mutants; the tested part of a certificate. */
export function runDifferential(given: DifferentialOptions): Tested {
  const { steering, rules } = given;
  const reference = runReference(given);
  const { episodes } = reference;
  const options = { ...given, episodes };
  const first: Mismatch[] = [];
  let mismatches = 0;
  const note = (count: number, some: readonly Mismatch[], where: string) => {
    mismatches += count;
    for (const mismatch of some)
      if (first.length < 5)
        first.push({ ...mismatch, text: `${where}: ${mismatch.text}` });
  };

  for (const [owners, unit] of [
    [steering, "core"],
    [options.entries, "table entry"],
  ] as const) {
    if (owners === undefined) continue;
    const conflicts = reference.ownership.conflicts(owners, unit);
    note(conflicts.count, conflicts.first, "pass 1");
  }
  const used = new Set<number>();
  const run = options.runEmitted();
  for (const [index, episode] of episodes.entries()) {
    const parted = reference.parted[index];
    const record = run(
      parted?.packets ?? steered(episode, steering),
      options.cores,
    );
    for (const input of episode.steering) used.add(steering(input));
    const want = reference.records[index];
    if (want === undefined) continue;
    if (parted === undefined) {
      const found = compareRecords(want, record, rules);
      note(found.mismatches, found.first, episode.name);
      continue;
    }
    note(parted.mismatches, parted.first, `pass 2, ${episode.name}`);
    // Cores' states are compared where the layout is known (rules); outcomes always.
    const found = compareRecords(
      { ...parted.record, state: new Map() },
      record,
      rules,
    );
    note(found.mismatches, found.first, episode.name);
    const texts = given.partitionedState?.(parted, record.state) ?? [];
    note(
      texts.length,
      texts.map((text) => ({ kind: "state", text })),
      episode.name,
    );
  }

  const alone =
    given.partition === undefined
      ? runPrivately({
          ...options,
          records: reference.records,
          ownership: reference.ownership,
          runOf: options.runPrivate,
        })
      : deviationsOf(reference.parted);
  note(alone.mismatches, alone.first, "private state");

  const mutants = runMutants(options, reference);
  const body = {
    packets: episodes.reduce((sum, { packets }) => sum + packets.length, 0),
    episodes: episodes.map(({ name, packets, leftOut }) => ({
      name,
      packets: packets.length,
      leftOut: leftOut ?? { frames: 0, ports: 0 },
    })),
    seed: options.seed,
    engine: options.engine,
    rewrittenCalls: options.rewrittenCalls ?? [],
    mismatches,
    first,
    branches: reference.branches,
    accesses: reference.counter.rows(),
    untested: options.accesses
      .filter(({ at, object }) => !reference.counter.has(at, object))
      .map(({ at, object }) => `${object} at ${printPlace(at)}`),
    verdicts: verdictCounts(options.sequential, reference.records),
    cells: {
      touched: reference.ownership.cells,
      contested: reference.ownership.contested,
    },
    coresUsed: used.size,
    mutants,
    contents: Object.fromEntries(
      Object.entries(options.contents ?? {}).map(([map, entries]) => [
        map,
        entries.length,
      ]),
    ),
    faults: faultCounts(options.sequential, reference.records),
    capacityDeviation: alone.capacityDeviation,
    collisionDeviation: alone.collisionDeviation ?? 0,
  };
  const weaknesses = weaknessesOf(body, {
    verdicts: options.verdicts,
    writable: [
      ...new Set(options.accesses.filter((a) => a.writes).map((a) => a.object)),
    ],
    written: reference.counter.written,
    cores: options.cores,
  });
  return {
    ...body,
    strength: weaknesses.length === 0 ? "strong" : "weak",
    weaknesses,
  };
}

/** Packets that differ from pass 1 for a declared reason, over all episodes. */
function deviationsOf(parted: readonly Judged[]): {
  readonly mismatches: number;
  readonly capacityDeviation: number;
  readonly collisionDeviation?: number;
  readonly first: readonly Mismatch[];
} {
  const sum = (count: (each: Judged) => number): number =>
    parted.reduce((all, each) => all + count(each), 0);
  return {
    mismatches: 0,
    first: [],
    capacityDeviation: sum((each) => each.capacityDeviation),
    collisionDeviation: sum((each) => each.collisionDeviation),
  };
}

interface Reference {
  readonly records: readonly RunRecord[];
  /** The episodes as pass 1 got them: what answers was made. */
  readonly episodes: readonly Episode[];
  /** Pass 2, where the grade is partitioned. */
  readonly parted: readonly Judged[];
  readonly ownership: Ownership;
  readonly counter: AccessCounter;
  readonly branches: Tested["branches"];
  readonly edges: ReadonlySet<string>;
}

/** Pass 1, and beside it the cores' runs of pass 2 where the state is parted. */
function runReference(options: DifferentialOptions): Reference {
  const {
    sequential,
    partition,
    shown = (outcome: Outcome) => outcome,
  } = options;
  const ownership = new Ownership(options.sharded);
  const counter = new AccessCounter();
  const edges = new Set<string>();
  const total = options.episodes.reduce(
    (sum, { packets }) => sum + packets.length,
    0,
  );
  let done = 0;
  const parted: Judged[] = [];
  const episodes: Episode[] = [];
  const second =
    partition === undefined
      ? undefined
      : new SecondPass({
          sequential,
          partition,
          contents: options.contents,
          cores: options.cores,
          seed: options.seed,
          shown,
        });
  const records = options.episodes.map((episode) => {
    const state = createState(sequential.maps, contentsOption(options));
    const notes = new TouchNotes(partition?.allocators ?? []);
    const answering = new Answering(episode.answers);
    const coreOf = (index: number, packet: PacketInput): number =>
      options.steering(steeringInput(options, episode, index, packet));
    second?.begin(episode.packets.length, coreOf, episode.answers);
    const cells = new OwnedCells(ownership, state, partition);
    const machine = new BytecodeMachine(sequential, state, {
      seed: options.seed,
      observer: {
        touch: (touch) => {
          if (partition === undefined) cells.plain(touch);
          else {
            notes.touch(touch);
            cells.touch(touch);
          }
          counter.count(
            touch.at,
            touch.map,
            touch.op,
            touch.result,
            touch.writes,
          );
        },
        branch: (at, taken) => edges.add(edgeName(at, taken)),
      },
    });
    const recorder = new Recorder(episode.packets.length);
    const packets: PacketInput[] = [];
    const steering: number[] = [];
    for (const [index, given] of episode.packets.entries()) {
      const input = answering.packet(index, given);
      const seen = steeringInput(options, episode, index, input);
      packets.push(input);
      steering.push(seen);
      cells.begin(seen, index, input);
      notes.clear();
      const outcome = shown(machine.run(input));
      answering.note(index, outcome);
      recorder.add(index, input, outcome);
      cells.end();
      second?.packet(index, given, {
        input,
        outcome,
        notes,
        isLive: (allocator, at) =>
          isLive(heldAt(state, allocator, at), allocator.expiry, input.time),
      });
      done++;
      if ((done & 4095) === 0) options.onProgress?.(done, total);
    }
    if (second !== undefined) parted.push(second.finish(state, notes));
    episodes.push({ ...episode, packets, steering });
    return recorder.finish(dumpState(state));
  });
  return {
    records,
    episodes,
    parted,
    ownership,
    counter,
    edges,
    branches: branchCoverage(sequential, edges, options.infeasible),
  };
}

/** What the NIC sees: known for packets that were given, interned for those made. */
function steeringInput(
  { intern }: DifferentialOptions,
  { packets, steering }: Episode,
  index: number,
  packet: PacketInput,
): number {
  const known = packets[index]?.data === packet.data;
  return known || intern === undefined
    ? (steering[index] ?? 0)
    : intern(packet);
}

function contentsOption(options: DifferentialOptions): {
  contents?: MapContents;
} {
  return options.contents === undefined ? {} : { contents: options.contents };
}

/** Name of one way out of a conditional branch. */
export function edgeName(at: Place, taken: boolean): string {
  return `${at.function}+${at.instruction}:${taken ? "taken" : "fall"}`;
}

function branchCoverage(
  program: ProgramSpec,
  edges: ReadonlySet<string>,
  infeasible: ReadonlySet<string> = new Set(),
): Tested["branches"] {
  let total = 0;
  let hit = 0;
  const missing: string[] = [];
  for (const fn of program.functions)
    for (const [instruction, { kind }] of fn.instructions.entries()) {
      if (kind !== "branch") continue;
      for (const taken of [true, false]) {
        const name = edgeName({ function: fn.name, instruction }, taken);
        if (infeasible.has(name)) continue;
        total++;
        if (edges.has(name)) hit++;
        else missing.push(name);
      }
    }
  return { hit, total, missing };
}

function steered(episode: Episode, steering: Steering): PacketInput[] {
  return episode.packets.map((packet, index) => {
    const core = steering(episode.steering[index] ?? 0);
    return { ...packet, cpu: core, rxQueue: core };
  });
}

/** Steering mutants by ownership; program mutants on the head of each episode. */
function runMutants(
  options: DifferentialOptions,
  reference: Reference,
): Tested["mutants"] {
  const survivors: string[] = [];
  let total = 0;
  const judge = (name: string, killed: boolean): void => {
    total++;
    if (!killed) survivors.push(name);
  };
  for (const mutant of options.steeringMutants)
    judge(
      mutant.name,
      mutant
        .steerings()
        .some((steering) => reference.ownership.hasConflict(steering)),
    );

  const heads = options.episodes.map((episode) => ({
    ...episode,
    packets: episode.packets.slice(0, headLength),
    steering: episode.steering.slice(0, headLength),
  }));
  const run = options.runEmitted();
  const want = heads.map((head) =>
    run(steered(head, options.steering), options.cores),
  );
  for (const mutant of negatedBranches(
    options.emitted,
    (at) =>
      reference.edges.has(edgeName(at, true)) &&
      reference.edges.has(edgeName(at, false)),
    options.seed,
  )) {
    const runMutant = options.runEmitted(mutant.program);
    if (isRefused(runMutant, options)) continue;
    const killed = heads.some((head, index) => {
      const record = want[index];
      return (
        record !== undefined &&
        compareRecords(
          record,
          runMutant(steered(head, options.steering), options.cores),
          options.rules,
        ).mismatches > 0
      );
    });
    judge(mutant.name, killed);
  }
  return { killed: total - survivors.length, total, survivors };
}

/** The kernel takes not every mutant: what it refuses says nothing of the check. */
function isRefused(
  run: Runner,
  { engine, cores }: DifferentialOptions,
): boolean {
  if (engine !== "kernel") return false;
  try {
    run([], cores);
    return false;
  } catch (error) {
    if (error instanceof VerifierError) return true;
    throw error;
  }
}

/** Packets of each episode that a program mutant gets to see. */
const headLength = 4096;

function verdictCounts(
  program: ProgramSpec,
  records: readonly RunRecord[],
): Record<string, number> {
  const names = programTypeRow(program.type).verdicts;
  const counts: Record<string, number> = {};
  for (const record of records)
    for (const verdict of record.verdicts) {
      const name = names[verdict] ?? String(verdict);
      counts[name] = (counts[name] ?? 0) + 1;
    }
  return counts;
}
