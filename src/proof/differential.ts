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
import { printPlace, type Place } from "../base/index.ts";
import type { Outcome, PacketInput } from "../interp/index.ts";
import { programTypeRow, type ProgramSpec } from "../isa/index.ts";
import {
  weaknessesOf,
  type Excluded,
  type LeftOut,
  type Tested,
} from "./certificate.ts";
import type { Answers } from "./answering.ts";
import { runMutants, steered } from "./mutant-runs.ts";
import { runReference } from "./reference-run.ts";
import type { Judged, Partition } from "./partition.ts";
import { compareRecords, type Mismatch, type StateRule } from "./compare.ts";
import { faultCounts } from "./fault-counts.ts";
import type { Steering } from "./ownership.ts";
import { runPrivately } from "./private-runs.ts";
import type { MapContents, Runner, RunRecord, StateDump } from "./record.ts";

/** Packets in order on a fresh state. */
export interface Episode {
  readonly name: string;
  readonly packets: readonly PacketInput[];
  /** Per packet, what the NIC sees of it as a number; equal numbers are steered alike. */
  readonly steering: readonly number[];
  /** Packets that are made in the run, of what an earlier one became. */
  readonly answers?: Answers;
  /** Packets that a program mutant gets to see; default: a few thousand. */
  readonly head?: number;
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
  /** Cores share objects that they write: none has a state of its own. */
  readonly shared?: boolean;
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
  /** The same in numbers, by why; default: none. */
  readonly excluded?: Excluded;
  readonly seed: number;
  /** Program mutants, at most. */
  readonly mutants?: number;
  /** Name of what `runEmitted` runs on. */
  readonly engine: "wasm" | "interp" | "kernel";
  /** Calls of the emitted program that the engine does not run as they are. */
  readonly rewrittenCalls?: readonly string[];
  /** An outcome of the reference as the engine can show one. */
  readonly shown?: (outcome: Outcome, input: PacketInput) => Outcome;
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
    given.partition !== undefined
      ? deviationsOf(reference.parted)
      : options.shared === true
        ? { mismatches: 0, first: [], capacityDeviation: 0 }
        : runPrivately({
            ...options,
            records: reference.records,
            ownership: reference.ownership,
            runOf: options.runPrivate,
          });
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
    branches: {
      ...reference.branches,
      excluded: options.excluded ?? { options: 0, numbers: 0, allocators: 0 },
    },
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
