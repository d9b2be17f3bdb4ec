/**
 * Measuring: each contestant on each number of cores, on one engine, in turn, with an
 * empty program beside them in the same loop.
 *
 * kernel  the program in a loop over packets, inside the kernel, on real-time threads
 * wasm    the portable engine's workers, in private memory or a shared one; time inside the compiled
 *         program, in rounds in which the thread did not wait for a CPU; or whole runs,
 *         with feeding and verdicts
 */
import {
  emptyProgram,
  fewestForInterval,
  frameSizeFor,
  measureInterleaved,
  openKernel,
  PackedPackets,
  placementBorders,
  placementOf,
  PortableSubject,
  prepareSubject,
  runParallel,
  type Placement,
  type Subject,
  type SubjectSamples,
} from "../engine/index.ts";
import type { PacketInput } from "../interp/index.ts";
import { tablePackets, type Contestant } from "./bench-contestant.ts";
import type { Words } from "./command.ts";
import { usage } from "./words.ts";

export type EngineName = "wasm" | "kernel";
export type StateChoice = "shared" | "private";

/** One sample: nanoseconds per packet of each core that had any. */
export interface SeriesSample {
  readonly ns: readonly number[];
  readonly placement: Placement;
}

export interface Series {
  readonly contestant: Contestant;
  readonly engine: EngineName;
  readonly cores: number;
  readonly state: StateChoice;
  /** Part of the packets that each core has; 0 where it has none. */
  readonly shares: readonly number[];
  /** Of cores with packets, in order. */
  readonly samples: readonly SeriesSample[];
  /** An empty program in the same loop. */
  readonly base: readonly SeriesSample[];
  readonly how: "loop" | "repeat" | "rounds" | "run" | "veth";
  readonly includes: "program" | "program+dispatch" | "path";
  readonly disturbed: Readonly<Record<string, number>>;
  readonly notes: readonly string[];
}

export interface SeriesOptions {
  readonly cores: readonly number[];
  readonly state: StateChoice;
  /** Seconds for all samples of the engine, about. */
  readonly seconds: number;
  readonly seed: number;
  readonly words: Words;
  readonly onRound: (done: number, total: number) => void;
}

/** As much longer than asked may it take to have enough samples for an interval. */
const patience = 3;

/**
 * How many samples the time allows; enough for an interval, with one for a disturbed
 * one, where that takes no more than three times as long; and at least three.
 */
export function samplesFor(
  seconds: number,
  subjects: number,
  milliseconds: number,
): number {
  const fitting = Math.floor((seconds * 1000) / (subjects * milliseconds));
  const wanted = Math.min(fewestForInterval + 1, patience * fitting);
  return Math.min(60, Math.max(3, wanted, fitting));
}

interface Division {
  readonly contestant: Contestant;
  readonly cores: number;
  readonly lists: readonly (readonly PacketInput[])[];
  readonly shares: readonly number[];
}

export function divide(contestant: Contestant, cores: number): Division {
  const steer = contestant.steer(cores);
  const lists = Array.from({ length: cores }, (): PacketInput[] => []);
  for (const [index, packet] of contestant.packets.entries()) {
    const core = steer[index] ?? 0;
    lists[core]?.push({ ...packet, rxQueue: core, cpu: core });
  }
  return {
    contestant,
    cores,
    lists,
    shares: lists.map((list) => list.length / contestant.packets.length),
  };
}

export async function kernelSeries(
  contestants: readonly Contestant[],
  options: SeriesOptions,
): Promise<readonly Series[]> {
  const kernel = await openKernel();
  const subjects: Subject[] = [];
  try {
    const divisions = contestants.flatMap((contestant) =>
      options.cores.map((cores) => divide(contestant, cores)),
    );
    const placed = divisions.map((division) => {
      const { contestant, cores } = division;
      const packets = division.lists
        .filter((list) => list.length > 0)
        .map((list) => list.slice(0, tablePackets));
      const frameSize = frameSizeFor(packets);
      const subject = prepareSubject(kernel, contestant.program, {
        packets,
        frameSize,
        contents: contestant.contents(cores),
        state: options.state,
        ...(contestant.btf === undefined ? {} : { btf: contestant.btf }),
      });
      subjects.push(subject);
      return { ...division, subject, packets };
    });
    // One empty program for all that are measured alike.
    const emptyOf = new Map<string, number>();
    const bases = placed.map(({ subject, packets }) => {
      const alike = `${packets.length} ${subject.frameSize} ${subject.how}`;
      const known = emptyOf.get(alike);
      if (known !== undefined) return known;
      const empty = prepareSubject(kernel, emptyProgram, {
        packets,
        frameSize: subject.frameSize,
        how: subject.how,
      });
      emptyOf.set(alike, subjects.push(empty) - 1);
      return subjects.length - 1;
    });
    const samples = samplesFor(options.seconds, subjects.length, 110);
    const measured = await measureInterleaved(kernel, subjects, {
      samples,
      burst: Math.min(60, Math.max(5, options.seconds * 20)),
      onRound: options.onRound,
    });
    return placed.map(({ contestant, cores, shares, subject }, index) => {
      const own = measured[index];
      const base = measured[bases[index] ?? -1];
      return {
        contestant,
        engine: "kernel",
        cores,
        state: options.state,
        shares,
        samples: seriesSamples(own),
        base: seriesSamples(base),
        how: subject.how,
        includes: "program",
        disturbed: { ...own?.disturbed },
        notes: [
          ...subject.notes,
          ...(subject.undone.length > 0
            ? [`undoing ${subject.undone.join(", ")} is part of the figure`]
            : []),
          ...(own?.realTime === false
            ? ["without real-time priority: cores may not have run together"]
            : []),
        ],
      } satisfies Series;
    });
  } finally {
    for (const subject of subjects) subject.close();
    kernel.close();
  }
}

function seriesSamples(
  measured: SubjectSamples | undefined,
): readonly SeriesSample[] {
  return (measured?.samples ?? []).map(({ cores, placement }) => ({
    ns: cores.map(({ packets, ns }) => ns / packets),
    placement,
  }));
}

interface PortableSample {
  readonly ns: readonly number[];
  readonly roundTrips: readonly number[];
}

/** Packets of one sample: some milliseconds. */
const portablePackets = 100_000;

export async function portableSeries(
  contestants: readonly Contestant[],
  options: SeriesOptions,
): Promise<readonly Series[]> {
  const guarded = contestants.find(({ guard }) => guard !== undefined);
  if (guarded?.guard !== undefined)
    throw usage(
      `${guarded.from} has a ${guarded.guard.kind} around whole packets, and --path program measures the program alone`,
      "--path dispatch",
    );
  const divisions = contestants.flatMap((contestant) =>
    options.cores.map((cores) => divide(contestant, cores)),
  );
  const subjects: PortableSubject[] = [];
  try {
    const pairs = divisions.map((division) => {
      const { contestant, cores } = division;
      const packets = division.lists
        .filter((list) => list.length > 0)
        .map((list) => list.slice(0, tablePackets));
      const { seed } = options;
      const contents = contestant.contents(cores);
      const pair = {
        own: new PortableSubject(contestant.program, {
          packets,
          contents,
          seed,
          memory: options.state,
          realTime: true,
        }),
        base: new PortableSubject(emptyProgram, {
          packets,
          memory: options.state,
          realTime: true,
        }),
        samples: [] as PortableSample[],
        bases: [] as PortableSample[],
      };
      subjects.push(pair.own, pair.base);
      return pair;
    });
    // Round −1 warms up, is not counted, and tells how long a round takes.
    let samples = 3;
    for (let round = -1; round < samples; round++) {
      options.onRound(Math.max(0, round), samples);
      const started = performance.now();
      for (const { own, base, samples: taken, bases } of pairs)
        for (const [subject, list] of [
          [own, taken],
          [base, bases],
        ] as const) {
          const answers = await subject.sample(
            round < 0 ? portablePackets / 10 : portablePackets,
          );
          if (round >= 0 && answers !== undefined)
            list.push({
              ns: answers.map(({ packets, ns }) => ns / packets),
              // Cores 0 and 1 play; others could be anywhere.
              roundTrips:
                answers.length === 1
                  ? []
                  : [answers.length === 2 ? (answers[0]?.roundTripNs ?? 0) : 0],
            });
        }
      if (round === 0)
        samples = samplesFor(options.seconds, 1, performance.now() - started);
    }
    const borders = placementBorders(
      pairs
        .flatMap(({ samples: own, bases }) => [...own, ...bases])
        .flatMap(({ roundTrips }) => roundTrips),
    );
    const placed = (list: readonly PortableSample[] = []) =>
      list.map(({ ns, roundTrips }) => ({
        ns,
        placement: placementOf(roundTrips, borders),
      }));
    return divisions.map(({ contestant, cores, shares }, index) => ({
      contestant,
      engine: "wasm",
      cores,
      state: options.state,
      shares,
      samples: placed(pairs[index]?.samples),
      base: placed(pairs[index]?.bases),
      how: "rounds",
      includes: "program",
      disturbed: {},
      notes: [],
    }));
  } finally {
    await Promise.all(subjects.map((subject) => subject.close()));
  }
}

/** Packets of one whole run: starting and warming up are a small part of it. */
const runPackets = 400_000;

/**
 * Whole runs of the portable engine, feeding and verdicts included: what its user
 * waits for. A core's time is that of the whole run, since it was there for it.
 */
export async function dispatchSeries(
  contestants: readonly Contestant[],
  options: SeriesOptions,
): Promise<readonly Series[]> {
  if (options.state === "shared" && options.cores.some((cores) => cores > 1))
    throw usage(
      "--path dispatch runs cores with private memory each",
      "--state private, or --path program",
    );
  const count = Math.max(20_000, Math.min(1, options.seconds) * runPackets);
  const jobs = contestants.flatMap((contestant) => {
    const { packets } = contestant;
    const over = Array.from({ length: count }, (_, index) => {
      const packet = packets[index % packets.length];
      return packet === undefined ? [] : [packet];
    }).flat();
    const packed = PackedPackets.pack(over);
    return options.cores.map((cores) => {
      const once = contestant.steer(cores);
      const steer = Uint8Array.from(
        over,
        (_, index) => once[index % once.length] ?? 0,
      );
      const { shares } = divide(contestant, cores);
      return { contestant, cores, packed, steer, shares };
    });
  });
  const taken = jobs.map((): SeriesSample[] => []);
  let samples = 3;
  for (let round = 0; round < samples; round++) {
    options.onRound(round, samples);
    const started = performance.now();
    for (const [at, { contestant, cores, packed, steer }] of jobs.entries()) {
      const { guard } = contestant;
      const run = await runParallel({
        program: contestant.program,
        cores,
        packets: packed,
        steer,
        cpus: cores,
        seed: options.seed,
        contents: contestant.contents(cores),
        ...(guard === undefined ? {} : { guard, memory: "shared" as const }),
      });
      taken[at]?.push({
        ns: run.cores.flatMap(({ packets }) =>
          packets > 0 ? [run.ns / packets] : [],
        ),
        placement: cores === 1 ? "single" : "untagged",
      });
    }
    if (round === 0)
      samples = samplesFor(options.seconds, 1, performance.now() - started);
  }
  return jobs.map(({ contestant, cores, shares }, at) => ({
    contestant,
    engine: "wasm",
    cores,
    state: contestant.guard === undefined ? "private" : "shared",
    shares,
    samples: taken[at] ?? [],
    base: [],
    how: "run",
    includes: "program+dispatch",
    disturbed: {},
    notes: [],
  }));
}
