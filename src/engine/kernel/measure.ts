/**
 * Nanoseconds per packet by TEST_RUN, for benchmarks: what the program costs,
 * without NIC, driver, dispatch and packet cache misses. Say so beside figures.
 *
 * A sample is one call with many repeats (each call with repeat > 1 adds about
 * 16 ms of the kernel's own), on one CPU if asked. The kernel counts whole
 * nanoseconds; the cost of a repeat without any program (about 30 ns) is in every
 * sample, and `measureOverhead` tells it for this machine.
 */
import { parseFunction } from "../../isa/index.ts";
import type { Kernel } from "./kernel.ts";
import type { KernelProgram } from "./kernel-program.ts";

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
