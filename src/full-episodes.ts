/**
 * Episodes that no trace brings by itself: packets that were led where no search leads,
 * answers to what the program sends out, and tables that are full. They are made for one
 * object and one steering.
 */
import type { StateReport } from "./analysis/index.ts";
import type { Cover } from "./covering.ts";
import { fillables, fillingOf } from "./filling.ts";
import type { PacketInput } from "./interp/index.ts";
import type { ProgramSpec } from "./isa/index.ts";
import { sharesOf, type Answers } from "./proof/index.ts";
import { guidedEpisode } from "./guided-episodes.ts";
import { answeredPackets } from "./replies.ts";
import type { ObjectPart, Port } from "./strategy/index.ts";

/** Packets in order, some of which answer what the run itself sent out. */
export interface TrialEpisode {
  readonly name: string;
  readonly packets: readonly PacketInput[];
  readonly answers?: Answers;
  /** Packets that a program mutant gets to see; default: the differential run's. */
  readonly head?: number;
}

export interface FullRequest {
  readonly sequential: ProgramSpec;
  readonly report: StateReport;
  readonly parts?: readonly ObjectPart[];
  readonly ports: readonly Port[];
  readonly cores: number;
  readonly seed: number;
  readonly cover: Cover;
  /** Packets of the trace. */
  readonly inputs: readonly PacketInput[];
  readonly coreOf: (packet: PacketInput) => number;
  /** Does what runs the packets take this one? */
  readonly accepts: (packet: PacketInput) => boolean;
}

/** Packets of the trace that are answered. */
const askedPackets = 600;

/** What a guide reached, answers where there is more than one port; then one episode per table. */
export function fullEpisodes({
  sequential,
  report,
  parts = [],
  ports,
  cores,
  seed,
  cover: { packets, contents },
  inputs,
  coreOf,
  accepts,
}: FullRequest): TrialEpisode[] {
  const ifindexes = ports.map(({ ifindex }) => ifindex);
  const partOf = (name: string): ObjectPart | undefined =>
    parts.find(({ object }) => object === name);
  const tables = fillables(
    sequential,
    report,
    (name, capacity) => partOf(name)?.capacities ?? sharesOf(capacity, cores),
    (name) => partOf(name)?.layout === "table",
  );
  const asked = [...packets, ...inputs.slice(0, askedPackets)];
  const guided = guidedEpisode({
    program: sequential,
    contents,
    cores,
    seed,
    cover: packets,
    ifindexes,
    accepts,
  });
  return [
    ...(guided === undefined
      ? []
      : [{ ...guided, head: guided.packets.length }]),
    ...(ports.length < 2
      ? []
      : [{ name: "answers", ...answeredPackets(asked, { ifindexes, seed }) }]),
    ...tables.flatMap((table): TrialEpisode[] => {
      const filling = fillingOf(table, {
        program: sequential,
        contents,
        cores,
        seed,
        cover: packets,
        ifindexes,
        coreOf,
        accepts,
      });
      return filling === undefined
        ? []
        : [{ ...filling, head: filling.packets.length }];
    }),
  ];
}
