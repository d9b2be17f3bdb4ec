/**
 * Nanoseconds per packet of programs in the kernel: what the program costs, without
 * NIC, driver, DMA, dispatch and packet cache misses. Say so beside figures.
 *
 * `measureProgram` and `measureInterleaved` call the program from a loop over packets
 * (loop-program.ts) on a crew of real-time threads (measure-crew.ts), in turn with an
 * empty program in the same loop: the difference is the program's own. Samples of
 * several subjects are interleaved, A B A B, so that what drifts drifts for all.
 *
 * `measureTestRun` repeats one packet: one call with many repeats (each call with
 * repeat > 1 adds about 16 ms of the kernel's own). The kernel counts whole
 * nanoseconds; the cost of a repeat without any program (about 30 ns) is in every
 * sample, and `measureOverhead` tells it for this machine.
 */
import { Bug } from "../../../base/index.ts";
import type { PacketInput } from "../../../interp/index.ts";
import { parseFunction, type ProgramSpec } from "../../../isa/index.ts";
import type { Kernel } from "../kernel.ts";
import type { KernelProgram } from "../load/kernel-program.ts";
import {
  MeasureCrew,
  type CoreSample,
  type Disturbance,
  type Sample,
} from "./measure-crew.ts";
import {
  emptyProgram,
  frameSizeFor,
  prepareSubject,
  type Subject,
  type SubjectOptions,
} from "./measure-subject.ts";
import { placementBorders, placementOf, type Placement } from "./placement.ts";

export interface MeasureOptions {
  /** Default 1,000,000. */
  readonly repeat?: number;
  /** Default 5. */
  readonly samples?: number;
  /** To be bound to; default: wherever the thread is. */
  readonly cpu?: number;
  readonly ifindex?: number;
}

export interface Measurement {
  /** In nanoseconds per packet. */
  readonly median: number;
  readonly least: number;
  readonly most: number;
  readonly samples: readonly number[];
  readonly repeat: number;
  /** What the figure includes. */
  readonly includes: "program";
}

export function measureTestRun(
  kernel: Kernel,
  program: KernelProgram,
  packet: Uint8Array,
  options: MeasureOptions = {},
): Measurement {
  const { repeat = 1_000_000, samples = 5, cpu, ifindex } = options;
  const port = ifindex === undefined ? {} : { ifindex };
  const take = (): readonly number[] => {
    // One short run warms caches and branch predictors.
    program.testRun(packet, { ...port, repeat: 1000 });
    return Array.from(
      { length: samples },
      () => program.testRun(packet, { ...port, repeat }).durationNs,
    );
  };
  const taken = cpu === undefined ? take() : kernel.onCpu(cpu, take);
  const sorted = [...taken].sort((a, b) => a - b);
  return {
    median: sorted[Math.floor(sorted.length / 2)] ?? 0,
    least: sorted[0] ?? 0,
    most: sorted.at(-1) ?? 0,
    samples: taken,
    repeat,
    includes: "program",
  };
}

/** The same for a program that only returns XDP_DROP: the cost of measuring. */
export function measureOverhead(
  kernel: Kernel,
  options: MeasureOptions = {},
): Measurement {
  const fn = parseFunction("function nop\n r0 = 1\n exit");
  const loaded = kernel.load([
    {
      file: "nop",
      name: fn.name,
      section: "xdp",
      type: "xdp",
      license: "GPL",
      functions: [fn],
      maps: [],
    },
  ]);
  try {
    return measureTestRun(
      kernel,
      loaded.program(),
      new Uint8Array(64),
      options,
    );
  } finally {
    loaded.close();
  }
}

export interface InterleaveOptions {
  /** Of each subject. Default 12. */
  readonly samples?: number;
  /** Milliseconds that a sample runs for; at most 300. Default 60. */
  readonly burst?: number;
  /** Called before each round of samples. */
  readonly onRound?: (done: number, total: number) => void;
}

/** One sample with where the CPUs were. */
export interface PlacedSample {
  readonly cores: readonly CoreSample[];
  /** Mean over the cores. */
  readonly nsPerPacket: number;
  readonly placement: Placement;
  readonly roundTrips: readonly number[];
}

export interface SubjectSamples {
  readonly samples: readonly PlacedSample[];
  /** Samples that gave no figure, by reason. */
  readonly disturbed: Readonly<Partial<Record<Disturbance, number>>>;
  /** False: without real-time priority, so figures of several cores may lie. */
  readonly realTime: boolean;
}

/** Packets of the first runs, which fill tables and tell how long a sample takes. */
const pilotPackets = 65_536;
const attempts = 4;
/** Milliseconds; with company, rallies and waiting it stays under 950. */
const longestBurst = 300;

/** Samples of all subjects in turn. */
export async function measureInterleaved(
  kernel: Kernel,
  subjects: readonly Subject[],
  options: InterleaveOptions = {},
): Promise<readonly SubjectSamples[]> {
  const { samples = 12, burst = 60, onRound } = options;
  const most = Math.max(...subjects.map(({ programs }) => programs.length));
  const crew = MeasureCrew.open(kernel.allowedCpus(), most);
  const taken = subjects.map((): Sample[] => []);
  const disturbed = subjects.map(
    (): Partial<Record<Disturbance, number>> => ({}),
  );
  const take = async (index: number, packets: readonly number[]) => {
    const subject = subjects[index];
    if (subject === undefined) return undefined;
    for (let attempt = 0; attempt < attempts; attempt++) {
      const sample = await crew.sample(subject, packets);
      if (sample.kind === "sample") return sample;
      const counts = disturbed[index] ?? {};
      counts[sample.by] = (counts[sample.by] ?? 0) + 1;
    }
    return undefined;
  };
  try {
    const sizes: (readonly number[])[] = [];
    for (const [index, subject] of subjects.entries()) {
      let packets = subject.programs.map(() => pilotPackets);
      // Twice: the first run may be slow with filling its tables.
      for (let pilot = 0; pilot < 2; pilot++) {
        const sample = await take(index, packets);
        packets = packets.map((count, core) => {
          const ran = sample?.cores[core];
          return ran === undefined || ran.ns === 0
            ? count
            : (Math.min(burst, longestBurst) * 1e6 * ran.packets) / ran.ns;
        });
      }
      sizes.push(packets);
    }
    for (let round = 0; round < samples; round++) {
      onRound?.(round, samples);
      for (const index of subjects.keys()) {
        const sample = await take(index, sizes[index] ?? []);
        if (sample !== undefined) taken[index]?.push(sample);
      }
    }
  } finally {
    await crew.close();
  }
  const borders = placementBorders(
    taken.flat().flatMap(({ roundTrips }) => roundTrips),
  );
  return subjects.map((_, index) => ({
    samples: (taken[index] ?? []).map((sample) => ({
      cores: sample.cores,
      nsPerPacket: meanNs(sample.cores),
      placement: placementOf(sample.roundTrips, borders),
      roundTrips: sample.roundTrips,
    })),
    disturbed: disturbed[index] ?? {},
    realTime: (taken[index] ?? []).every(({ realTime }) => realTime),
  }));
}

function meanNs(cores: readonly CoreSample[]): number {
  const sum = cores.reduce((total, { packets, ns }) => total + ns / packets, 0);
  return sum / Math.max(1, cores.length);
}

export interface MeasureProgramOptions
  extends InterleaveOptions, Omit<SubjectOptions, "packets"> {
  readonly cores: number;
  readonly packets: readonly PacketInput[];
  /** Core of each packet by its position; default: every core gets all of them. */
  readonly steer?: Uint8Array;
}

export interface ProgramMeasurement extends SubjectSamples {
  /** The same for an empty program in the same loop, in turn with the program. */
  readonly base: SubjectSamples;
  readonly how: Subject["how"];
  readonly state: "shared" | "private";
  readonly frameSize: number;
  readonly rewritten: readonly string[];
  readonly undone: readonly string[];
  readonly notes: readonly string[];
  /** What the figure includes. */
  readonly includes: "program";
}

/** One program on some cores, and an empty one in turn with it. */
export async function measureProgram(
  kernel: Kernel,
  program: ProgramSpec,
  options: MeasureProgramOptions,
): Promise<ProgramMeasurement> {
  const { cores, packets, steer, state = "shared" } = options;
  const lists = Array.from({ length: cores }, (_, core) =>
    steer === undefined
      ? rotated(packets, core / cores)
      : packets.filter((_packet, index) => steer[index] === core),
  );
  const frameSize = options.frameSize ?? frameSizeFor(lists);
  const subject = prepareSubject(kernel, program, {
    ...options,
    packets: lists,
    frameSize,
  });
  try {
    const empty = emptySubject(kernel, subject, lists);
    try {
      const [own, base] = await measureInterleaved(
        kernel,
        [subject, empty],
        options,
      );
      if (own === undefined || base === undefined) throw new Bug("no samples");
      const { how, rewritten, undone, notes } = subject;
      // prettier-ignore
      return { ...own, base, how, state, frameSize, rewritten, undone, notes, includes: "program" };
    } finally {
      empty.close();
    }
  } finally {
    subject.close();
  }
}

/** The same packets, begun elsewhere: cores in step would meet in every cell. */
function rotated<T>(values: readonly T[], part: number): readonly T[] {
  const from = Math.floor(values.length * part);
  return [...values.slice(from), ...values.slice(0, from)];
}

/** Nothing in the same loop: what measuring this subject costs by itself. */
export function emptySubject(
  kernel: Kernel,
  subject: Subject,
  packets: SubjectOptions["packets"],
): Subject {
  return prepareSubject(kernel, emptyProgram, {
    packets,
    frameSize: subject.frameSize,
    how: subject.how,
  });
}
