/**
 * Samples: which are worth something, and that what is counted was run. No figure is
 * tested.
 */
import { deepEqual, equal, ok, throws } from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { InputError, UnsupportedError } from "../../../base/index.ts";
import {
  parseFunctions,
  type MapSpec,
  type ProgramSpec,
} from "../../../isa/index.ts";
import { openKernel, type Kernel } from "../kernel.ts";
import { judgeSample } from "./measure-crew.ts";
import type { Answer } from "./measure-messages.ts";
import { emptySubject, measureInterleaved, measureProgram } from "./measure.ts";
import { prepareSubject } from "./measure-subject.ts";

/** A gate as two cores leave it. */
function gateOf(
  cores: readonly (readonly [start: number, end: number])[],
  late = 0,
): Uint8Array {
  const bytes = new Uint8Array(64 + 64 * 2);
  const view = new DataView(bytes.buffer);
  view.setUint32(4, late, true);
  for (const [core, [start, end]] of cores.entries()) {
    view.setBigUint64(64 + 64 * core, BigInt(start), true);
    view.setBigUint64(64 + 64 * core + 8, BigInt(end), true);
  }
  return bytes;
}

const good = [
  [1_000_000, 3_000_000],
  [1_000_100, 3_100_100],
] as const;

interface Gate {
  readonly cores?: readonly (readonly [number, number])[];
  readonly late?: number;
}

function judged(
  changes: Partial<Answer & { kind: "ran" }> = {},
  { cores = good, late = 0 }: Gate = {},
) {
  const ran: Answer = {
    kind: "ran",
    errno: 0,
    verdict: 1,
    durationNs: 400,
    roundTrips: [],
    lostNs: 0,
    realTime: true,
  };
  return judgeSample(
    { name: "nf", packetsPerCall: 32, gate: () => gateOf(cores, late) },
    [
      { ...ran, roundTrips: [120, 121] },
      { ...ran, ...changes },
    ],
    [1000, 1000],
  );
}

test("a good sample: packets and times of each core", () => {
  deepEqual(judged(), {
    kind: "sample",
    roundTrips: [120, 121],
    realTime: true,
    cores: [
      { packets: 32_000, ns: 2_000_000 },
      { packets: 32_000, ns: 2_100_000 },
    ],
  });
});

test("each disturbance is seen", () => {
  // prettier-ignore
  const cases: readonly (readonly [string, () => ReturnType<typeof judged>])[] = [
    ["interrupted", () => judged({ errno: 4 })],
    ["preempted", () => judged({ lostNs: 100_000 })],
    ["late", () => judged({}, { late: 1 })],
    ["late", () => judged({}, { cores: [[1_000_000, 3_000_000], [1_000_000, 0]] })],
    ["uneven", () => judged({}, { cores: [[1_000_000, 3_000_000], [1_000_000, 5_000_000]] })],
    ["late", () => judgeSample({ name: "nf", packetsPerCall: 32, gate: undefined }, [{ kind: "alone" }, { kind: "parked" }], [1])],
  ];
  for (const [by, sample] of cases)
    deepEqual(sample(), { kind: "disturbed", by });
  // A little waiting is not worth a sample.
  equal(judged({ lostNs: 20_000 }).kind, "sample");
  throws(() => judged({ errno: 22 }), InputError);
});

test("without a gate the kernel's own mean is taken", () => {
  const answer: Answer = {
    kind: "ran",
    errno: 0,
    verdict: 1,
    durationNs: 40,
    roundTrips: [],
    lostNs: 0,
    realTime: false,
  };
  deepEqual(
    judgeSample(
      { name: "nf", packetsPerCall: 1, gate: undefined },
      [answer, { kind: "parked" }],
      [5000],
    ),
    {
      kind: "sample",
      roundTrips: [],
      realTime: false,
      cores: [{ packets: 5000, ns: 200_000 }],
    },
  );
});

function kernelTest(
  name: string,
  body: (kernel: Kernel) => Promise<void>,
): void {
  test(name, async (t: TestContext) => {
    let kernel: Kernel;
    try {
      kernel = await openKernel();
    } catch (error) {
      if (!(error instanceof UnsupportedError)) throw error;
      t.skip(error.message);
      return;
    }
    try {
      await body(kernel);
    } finally {
      kernel.close();
    }
  });
}

const cell: MapSpec = {
  name: "cell",
  type: "array",
  keySize: 4,
  valueSize: 8,
  maxEntries: 1,
  flags: 0,
  section: ".maps",
  readOnly: false,
};

/** Counts its packets, atomically. */
const counter: ProgramSpec = {
  file: "test",
  name: "counter",
  section: "xdp",
  type: "xdp",
  license: "GPL",
  maps: [cell],
  functions: parseFunctions(`
    function counter
      *(u32 *)(r10 - 4) = 0
      r2 = r10
      r2 += -4
      r1 = map cell ll
      call map_lookup_elem
      if r0 == 0 goto out
      r1 = 1
      lock *(u64 *)(r0 + 0) += r1
    out:
      r0 = 2
      exit`),
};

const packet = (source: number) => ({
  data: new Uint8Array(64).fill(source),
  ifindex: 1,
  rxQueue: 0,
  cpu: 0,
  time: 0n,
});
const packets = Array.from({ length: 64 }, (_, source) => packet(source));

kernelTest(
  "what is counted was run, on one core and on several",
  async (kernel) => {
    const most = Math.min(2, kernel.allowedCpus().length);
    for (const cores of new Set([1, most])) {
      const subject = prepareSubject(kernel, counter, {
        packets: Array.from({ length: cores }, () => packets),
      });
      const empty = emptySubject(
        kernel,
        subject,
        Array.from({ length: cores }, () => packets),
      );
      try {
        const [own, base] = await measureInterleaved(kernel, [subject, empty], {
          samples: 3,
          burst: 2,
        });
        ok(own !== undefined && base !== undefined);
        ok(own.samples.length > 0 && base.samples.length > 0);
        const counted = own.samples
          .flatMap((sample) => sample.cores)
          .reduce((sum, each) => sum + each.packets, 0);
        const value = subject.map("cell").lookup(new Uint8Array(4));
        const run = new DataView(
          value?.buffer ?? new ArrayBuffer(8),
        ).getBigUint64(0, true);
        ok(counted > 0 && run >= BigInt(counted), `${counted} of ${run}`);
        for (const sample of own.samples) {
          equal(sample.cores.length, cores);
          equal(sample.placement === "single", cores === 1);
          equal(sample.roundTrips.length, 2 * (cores - 1));
        }
      } finally {
        subject.close();
        empty.close();
      }
    }
  },
);

kernelTest(
  "measureProgram: the program, an empty one, and what was done to it",
  async (kernel) => {
    const steer = Uint8Array.from(packets, (_, index) => index % 2);
    const cores = Math.min(2, kernel.allowedCpus().length);
    const measured = await measureProgram(kernel, counter, {
      cores,
      packets,
      ...(cores === 2 ? { steer } : {}),
      samples: 2,
      burst: 2,
      state: "private",
    });
    deepEqual(
      [measured.how, measured.state, measured.includes, measured.frameSize],
      ["loop", "private", "program", 64],
    );
    deepEqual(
      [measured.rewritten, measured.undone, measured.notes],
      [[], [], []],
    );
    ok(measured.samples.length > 0 && measured.base.samples.length > 0);
    ok(measured.samples.every(({ nsPerPacket }) => nsPerPacket > 0));
  },
);
