/**
 * Packets that show a race: two that meet in one cell of an object, at least one of
 * them writing, and where one exists a schedule of two cores that no order of the two
 * explains (race-schedule.ts).
 */
import {
  BytecodeMachine,
  createState,
  type CellTouch,
  type PacketInput,
} from "../interp/index.ts";
import type { ProgramSpec } from "../isa/index.ts";
import type { MapContents } from "./record.ts";
import { RaceLab, type RaceSchedule } from "./race-schedule.ts";

/** What may happen to an object: which gap of a run another core can fall into. */
export interface ClaimedRace {
  readonly object: string;
  readonly kind: "lost-update" | "check-then-act" | "unlocked-write";
}

export interface Witness extends ClaimedRace {
  /** Key bytes as hex. */
  readonly cell: string;
  /** Indices into the packets that were run; one packet may meet its own copy. */
  readonly packets: readonly [number, number];
  /** Absent: the two meet, and none of the schedules tried shows a loss. */
  readonly schedule?: RaceSchedule;
  /** With a schedule: contents of the maps when it begins. */
  readonly start?: MapContents;
}

/** Pairs of packets that are tried for one race, and of one cell. */
const mostPairs = 32;
const mostOfCell = 4;

/** A witness for each of `races` whose object the packets reach with a write. */
export function raceWitnesses(
  program: ProgramSpec,
  packets: readonly PacketInput[],
  races: readonly ClaimedRace[],
  contents: MapContents,
): Witness[] {
  const meetings = meetingsOf(
    program,
    packets,
    new Set(races.map(({ object }) => object)),
    contents,
  );
  const lab = new RaceLab(program, packets, contents);
  return races.flatMap(({ object, kind }) => {
    const pairs = meetings.get(object) ?? [];
    for (const { cell, pair } of pairs) {
      const schedule = lab.find({
        object,
        pair,
        before: beforehand(pair),
        holdsAt: holds[kind],
      });
      if (schedule !== undefined)
        return [
          {
            object,
            kind,
            cell,
            packets: pair,
            schedule,
            start: lab.contentsAfter(schedule.before),
          },
        ];
    }
    const [first] = pairs;
    return first === undefined
      ? []
      : [{ object, kind, cell: first.cell, packets: first.pair }];
  });
}

/** Behind which touches a race of each kind has its gap. */
const holds: Readonly<
  Record<ClaimedRace["kind"], (touch: CellTouch) => boolean>
> = {
  "lost-update": ({ op }) => op === "load",
  "check-then-act": ({ op, result }) => op === "lookup" && result === "miss",
  "unlocked-write": () => true,
};

/** On nothing, behind one of the two, behind both, and behind all that came earlier. */
function beforehand([first, second]: readonly [
  number,
  number,
]): readonly (readonly number[])[] {
  const last = Math.max(first, second);
  return [
    [],
    [first],
    [second],
    [first, second],
    Array.from({ length: last }, (_, packet) => packet),
  ];
}

interface Meeting {
  readonly cell: string;
  readonly pair: readonly [number, number];
}

/** By object: pairs that touch one cell, one of them writing. */
function meetingsOf(
  program: ProgramSpec,
  packets: readonly PacketInput[],
  objects: ReadonlySet<string>,
  contents: MapContents,
): ReadonlyMap<string, readonly Meeting[]> {
  const cells = new Map<string, Map<string, Map<number, boolean>>>();
  let packet = 0;
  const machine = new BytecodeMachine(
    program,
    createState(program.maps, { contents }),
    {
      observer: {
        touch: ({ map, cell, writes }) => {
          if (!objects.has(map)) return;
          const ofMap = entryOf(cells, map, () => new Map());
          const ofCell = entryOf(ofMap, cell, () => new Map());
          ofCell.set(packet, writes || ofCell.get(packet) === true);
        },
      },
    },
  );
  for (const [index, input] of packets.entries()) {
    packet = index;
    machine.run(input);
  }
  return new Map(
    [...cells].map(([map, ofMap]) => [
      map,
      [...ofMap]
        .flatMap(([cell, touches]) => pairsOf(cell, touches))
        .slice(0, mostPairs),
    ]),
  );
}

function pairsOf(
  cell: string,
  touches: ReadonlyMap<number, boolean>,
): readonly Meeting[] {
  const all = [...touches];
  const copies = all.flatMap(([packet, writes]): Meeting[] =>
    writes ? [{ cell, pair: [packet, packet] }] : [],
  );
  const others: Meeting[] = [];
  for (const [index, [left, writes]] of all.entries())
    for (const [right, alsoWrites] of all.slice(index + 1, index + 4))
      if (writes || alsoWrites) others.push({ cell, pair: [left, right] });
  return [
    ...others.slice(0, mostOfCell / 2),
    ...copies.slice(0, mostOfCell / 2),
  ];
}

function entryOf<K, V>(map: Map<K, V>, key: K, make: () => V): V {
  const known = map.get(key);
  if (known !== undefined) return known;
  const made = make();
  map.set(key, made);
  return made;
}
