/**
 * Pass 1 of the differential run: the sequential program in the interpreter, one core,
 * full capacity, in arrival order. It notes outcomes, touched cells and coverage; where
 * the state is parted, pass 2 goes beside it packet by packet (second-pass.ts).
 */
import { toHex } from "../base/index.ts";
import {
  BytecodeMachine,
  createState,
  type Outcome,
  type PacketInput,
} from "../interp/index.ts";
import type { ProgramSpec } from "../isa/index.ts";
import { Answering } from "./answering.ts";
import { AccessCounter, type Tested } from "./certificate.ts";
import type { DifferentialOptions, Episode } from "./differential.ts";
import { OwnedCells } from "./owned-cells.ts";
import { Ownership } from "./ownership.ts";
import {
  effectsText,
  Recorder,
  type MapContents,
  type RunRecord,
} from "./record.ts";
import type { Judged } from "./partition.ts";
import { SecondPass } from "./second-pass.ts";
import { dumpState } from "./state-dump.ts";
import { edgeName, TakenEdges } from "./taken-edges.ts";
import { TouchNotes } from "./touch-notes.ts";

export interface Reference {
  readonly records: readonly RunRecord[];
  /** The episodes as pass 1 got them: what answers was made. */
  readonly episodes: readonly Episode[];
  /** Pass 2, where the grade is partitioned. */
  readonly parted: readonly Judged[];
  readonly ownership: Ownership;
  readonly counter: AccessCounter;
  readonly branches: Omit<Tested["branches"], "excluded">;
  readonly edges: ReadonlySet<string>;
}

/** Pass 1, and beside it the cores' runs of pass 2 where the state is parted. */
export function runReference(options: DifferentialOptions): Reference {
  const {
    sequential,
    partition,
    shown = (outcome: Outcome) => outcome,
  } = options;
  const ownership = new Ownership(options.sharded);
  const counter = new AccessCounter();
  const taken = new TakenEdges();
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
    const nobody = onNothing(options, shown);
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
        branch: taken.note,
        record: (at, map) => {
          counter.count(at, map, "other", "hit", false);
        },
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
      const outcome = shown(machine.run(input), input);
      answering.note(index, outcome);
      recorder.add(index, input, outcome);
      cells.end((packet) => !isLike(outcome, nobody(packet)));
      second?.packet(index, given, {
        input,
        outcome,
        notes,
        state,
      });
      done++;
      if ((done & 4095) === 0) options.onProgress?.(done, total);
    }
    if (second !== undefined) parted.push(second.finish(state, notes));
    episodes.push({ ...episode, packets, steering });
    // Parted states are compared cell by cell where they were written.
    return recorder.finish(second === undefined ? dumpState(state) : new Map());
  });
  const edges = taken.names();
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

/** What becomes of a packet on the first contents. */
function onNothing(
  { sequential, seed, ...options }: DifferentialOptions,
  shown: NonNullable<DifferentialOptions["shown"]>,
): (input: PacketInput) => Outcome {
  const first = createState(sequential.maps, contentsOption(options));
  const machine = new BytecodeMachine(sequential, first, { seed });
  return (input) => {
    machine.use(first.clone());
    return shown(machine.run(input), input);
  };
}

function isLike(left: Outcome, right: Outcome): boolean {
  return (
    left.verdict === right.verdict &&
    effectsText(left) === effectsText(right) &&
    toHex(left.data) === toHex(right.data)
  );
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

function contentsOption(options: Pick<DifferentialOptions, "contents">): {
  contents?: MapContents;
} {
  return options.contents === undefined ? {} : { contents: options.contents };
}

function branchCoverage(
  program: ProgramSpec,
  edges: ReadonlySet<string>,
  infeasible: ReadonlySet<string> = new Set(),
): Omit<Tested["branches"], "excluded"> {
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
