import { deepEqual, equal, ok, rejects } from "node:assert/strict";
import process from "node:process";
import { test, type TestContext } from "node:test";
import { InputError, Random, UnsupportedError } from "../../../base/index.ts";
import { parseFunction, type ProgramSpec } from "../../../isa/index.ts";
import { compareFates, compareState, referenceOf } from "./compare-fates.ts";
import { Ethtool } from "../system/ethtool.ts";
import { openFrameSender, type FrameSender } from "./frame-sender.ts";
import { openKernel, type Kernel } from "../kernel.ts";
import { createNamespace } from "../system/namespace.ts";
import { runFrames, type TraceFrame } from "./trace-run.ts";
import { createVeths, type VethPair } from "./veth.ts";
import { runOnWires, type WireRunResult } from "./wire-run.ts";
import { XdpWatch } from "./xdp-watch.ts";

const seed = Number(process.env["DIVISI_SEED"] ?? 1);

/** Skips where there is no bpf(2), no namespace, no tcx: as a typed error says. */
function wireTest(name: string, body: (kernel: Kernel) => Promise<void>): void {
  void test(`${name} (seed ${seed})`, async (t: TestContext) => {
    try {
      const kernel = await openKernel();
      try {
        await body(kernel);
      } finally {
        kernel.close();
      }
    } catch (error) {
      if (!(error instanceof UnsupportedError)) throw error;
      t.skip(error.message);
    }
  });
}

/** Puts 4 bytes of metadata in front, and looks for them. */
const withMetadata: ProgramSpec = {
  file: "meta.bpf",
  name: "meta",
  section: "xdp",
  type: "xdp",
  license: "GPL",
  maps: [],
  functions: [
    parseFunction(`function meta
  r6 = r1
  r2 = -4
  call xdp_adjust_meta
  if r0 != 0 goto bad
  r2 = *(u32 *)(r6 + 8)
  r3 = *(u32 *)(r6 + 0)
  r3 -= r2
  if r3 != 4 goto bad
  r2 = *(u32 *)(r6 + 0)
  r3 = *(u32 *)(r6 + 4)
  r4 = r2
  r4 += 22
  if r4 > r3 goto bad
  r0 = *(u8 *)(r2 + 20)
  r0 &= 3
  exit
bad:
  r0 = 1
  exit`),
  ],
};

/** Byte 20 modulo 8 says what happens; byte 21 becomes 7, or `mark`. */
function everyVerdict({ mark = 7, third = 3 } = {}): ProgramSpec {
  return {
    file: "every.bpf",
    name: "every",
    section: "xdp",
    type: "xdp",
    license: "GPL",
    functions: [
      parseFunction(`function every
  r6 = r1
  r2 = *(u32 *)(r1 + 0)
  r3 = *(u32 *)(r1 + 4)
  r4 = r2
  r4 += 22
  if r4 > r3 goto short
  r7 = *(u8 *)(r2 + 20)
  *(u8 *)(r2 + 21) = ${mark}
  r7 &= 7
  if r7 == 4 goto out
  if r7 == 5 goto grow
  if r7 == 3 goto third
  r0 = r7
  exit
third:
  r0 = ${third}
  exit
grow:
  r1 = r6
  r2 = -12
  call xdp_adjust_head
  r2 = *(u32 *)(r6 + 0)
  r3 = *(u32 *)(r6 + 4)
  r4 = r2
  r4 += 12
  if r4 > r3 goto short
  r5 = 0x0102030405060708 ll
  *(u64 *)(r2 + 0) = r5
  *(u32 *)(r2 + 8) = r5
  r0 = 3
  exit
out:
  r1 = map out ll
  r2 = 1
  r3 = 0
  call redirect_map
  exit
short:
  r0 = 1
  exit`),
    ],
    maps: [
      {
        name: "out",
        type: "devmap",
        keySize: 4,
        valueSize: 4,
        maxEntries: 2,
        flags: 0,
        section: ".maps",
        readOnly: false,
      },
    ],
  };
}

function randomFrames(count: number, queues: number): TraceFrame[] {
  const random = new Random(seed);
  return Array.from({ length: count }, () => {
    const data = Uint8Array.from({ length: 22 + random.below(1400) }, () =>
      random.below(256),
    );
    // Tagged and untagged IPv4, and something unknown.
    const types = [
      [8, 0],
      [0x81, 0],
      [0x88, 0xa8],
      [0x88, 0xb5],
    ] as const;
    data.set(types[random.below(types.length)] ?? [8, 0], 12);
    data[0] = 2;
    return { data, port: random.below(2), queue: random.below(queues) };
  });
}

const word = (value: number): Uint8Array =>
  new Uint8Array(Uint32Array.of(value).buffer);

function contentsFor(ports: readonly VethPair[]) {
  return {
    out: ports.map(({ ifindex }, slot) => ({
      key: word(slot),
      value: word(ifindex),
    })),
  };
}

interface Ran {
  readonly result: WireRunResult;
  readonly differing: ReturnType<typeof compareFates>;
}

async function ranOnWires(
  kernel: Kernel,
  frames: readonly TraceFrame[],
  {
    queues = 1,
    program = everyVerdict(),
    reference = everyVerdict(),
    oneByOne = false,
  } = {},
): Promise<Ran> {
  return runOnWires(
    kernel,
    {
      bind: (ports) => ({
        program,
        contents: program.maps.length > 0 ? contentsFor(ports) : {},
      }),
      frames,
      ports: [{ name: "w0" }, { name: "w1" }],
      interfaces: "make",
      queues,
      oneByOne,
    },
    (result) => {
      const options = {
        program: reference,
        contents: reference.maps.length > 0 ? contentsFor(result.ports) : {},
        cpus: 8,
        seed: 1,
        interfaces: result.ports.map(({ ifindex }) => ifindex),
      };
      const { outcomes } = referenceOf(result.fates, options);
      return {
        result,
        differing: compareFates(result.fates, outcomes, options),
      };
    },
  );
}

for (const queues of [1, 2])
  wireTest(
    `every verdict on ${queues} queues: as the portable engine`,
    async (kernel) => {
      const frames = randomFrames(600, queues);
      const { result, differing } = await ranOnWires(kernel, frames, {
        queues,
      });
      deepEqual(
        differing.map(({ packet, what }) => `${packet} ${what}`),
        [],
      );
      deepEqual(result.lostBefore, []);
      equal(result.lostAfter + result.strays, 0);
      equal(result.fates.length, frames.length);
      const seen = new Set(result.fates.map(({ verdict }) => verdict));
      deepEqual(
        [...seen].sort((a, b) => a - b),
        [0, 1, 2, 3, 4, 6, 7],
      );
      for (const { frame, run } of result.fates) {
        equal(run.queue, frames[frame]?.queue);
        equal(run.cpu, run.queue);
      }
    },
  );

wireTest("one branch with another verdict is seen", async (kernel) => {
  const frames = randomFrames(200, 1);
  const { differing } = await ranOnWires(kernel, frames, {
    program: everyVerdict({ third: 2 }),
  });
  const wanted = frames.flatMap(({ data }, packet) =>
    ((data[20] ?? 0) & 7) === 3 ? [packet] : [],
  );
  ok(wanted.length > 5);
  deepEqual(
    differing.map(({ packet }) => packet).sort((a, b) => a - b),
    wanted,
  );
  deepEqual(
    new Set(differing.map(({ what, have, want }) => `${what} ${have} ${want}`)),
    new Set(["verdict pass tx"]),
  );
});

wireTest("one byte written otherwise is seen", async (kernel) => {
  const { differing } = await ranOnWires(kernel, randomFrames(100, 1), {
    program: everyVerdict({ mark: 8 }),
  });
  ok(differing.length > 10);
  ok(differing.every(({ what }) => what === "bytes"));
});

wireTest(
  "a program with metadata of its own, frame by frame",
  async (kernel) => {
    const frames = randomFrames(60, 2);
    const { result, differing } = await ranOnWires(kernel, frames, {
      program: withMetadata,
      reference: withMetadata,
      oneByOne: true,
      queues: 2,
    });
    deepEqual(differing, []);
    equal(result.fates.length, frames.length);
    const seen = new Set(result.fates.map(({ verdict }) => verdict));
    deepEqual(
      [...seen].sort((a, b) => a - b),
      [0, 1, 2, 3],
    );
  },
);

/** Adds `step` to the one counter there is, passes everything. */
function counting(step: number): ProgramSpec {
  return {
    ...withMetadata,
    functions: [
      parseFunction(`function count
  *(u32 *)(r10 - 4) = 0
  r1 = map seen ll
  r2 = r10
  r2 += -4
  call map_lookup_elem
  if r0 == 0 goto end
  r1 = ${step}
  lock *(u64 *)(r0 + 0) += r1
end:
  r0 = 2
  exit`),
    ],
    maps: [
      {
        name: "seen",
        type: "array",
        keySize: 4,
        valueSize: 8,
        maxEntries: 1,
        flags: 0,
        section: ".maps",
        readOnly: false,
      },
    ],
  };
}

for (const [step, wanted] of [
  [1, []],
  [2, ["seen[00000000] is 7800000000000000, sequential 3c00000000000000"]],
] as const)
  wireTest(`state at the end, counted by ${step}`, async (kernel) => {
    const have = await runOnWires(
      kernel,
      {
        bind: () => ({ program: counting(step), contents: {} }),
        frames: randomFrames(60, 2).map((frame) => ({ ...frame, port: 0 })),
        ports: [{ name: "w0" }],
        interfaces: "make",
        queues: 2,
      },
      ({ fates, loaded }) => {
        const program = counting(1);
        // prettier-ignore
        const options = { program, contents: {}, cpus: 8, seed: 1, interfaces: [] };
        return compareState(loaded, program, referenceOf(fates, options));
      },
    );
    deepEqual(have, wanted);
  });

wireTest("frames too short or too long are refused", async (kernel) => {
  for (const length of [13, 4000])
    await rejects(
      ranOnWires(kernel, [{ data: new Uint8Array(length), port: 0, queue: 0 }]),
      InputError,
    );
});

interface Tampered {
  readonly send?: FrameSender["send"];
  readonly watch?: (
    watch: XdpWatch,
  ) => Pick<XdpWatch, "begun" | "takeRuns" | "takeCatches">;
}

/** The pieces of wire-run, one of them broken. */
async function tampered(
  kernel: Kernel,
  frames: readonly TraceFrame[],
  tamper: (sender: FrameSender) => Tampered,
) {
  const { syscalls } = kernel;
  const namespace = await createNamespace();
  const ports = createVeths(syscalls, namespace, [
    { name: "w0", queues: 1, mtu: 1500 },
    { name: "w1", queues: 1, mtu: 1500 },
  ]);
  const loaded = namespace.run(() => kernel.load([everyVerdict()]));
  namespace.run(() => {
    for (const { key, value } of contentsFor(ports).out)
      loaded.map("out").update(key, value);
  });
  const watch = namespace.run(
    () =>
      new XdpWatch(syscalls, { program: loaded.program().fd, longest: 2000 }),
  );
  namespace.run(() => {
    for (const port of ports) {
      watch.attachPort(port.ifindex, { mode: "native" });
      watch.attachPeer(port.peer.ifindex);
    }
  });
  const sender = await openFrameSender(syscalls, {
    namespace,
    queues: 1,
    interfaces: ports.map(({ peer }) => peer.ifindex),
    longest: 1500,
  });
  const ethtool = namespace.run(() => new Ethtool(syscalls));
  const broken = tamper(sender);
  try {
    return await runFrames({
      frames,
      ports,
      queues: 1,
      watch: broken.watch?.(watch) ?? watch,
      sender: {
        capacity: sender.capacity,
        send: broken.send ?? sender.send,
      },
      ethtool,
    });
  } finally {
    await sender.close();
    ethtool.close();
    watch.close();
    loaded.close();
    namespace.close();
  }
}

wireTest("a frame lost before the program is seen", async (kernel) => {
  const frames = randomFrames(50, 1);
  const result = await tampered(kernel, frames, (sender) => ({
    send: ([own = []], batch) =>
      sender.send([own.filter((_, at) => at !== 17)], batch),
  }));
  deepEqual(result.lostBefore, [17]);
  equal(result.fates.length, 49);
  equal(result.lostAfter + result.strays, 0);
});

wireTest("a frame lost behind the program is seen", async (kernel) => {
  const frames = randomFrames(50, 1).map(({ data, ...rest }) => {
    data[20] = 3;
    return { data, ...rest };
  });
  const result = await tampered(kernel, frames, () => ({
    watch: (watch) => ({
      get begun() {
        return watch.begun;
      },
      takeRuns: () => watch.takeRuns(),
      takeCatches: () => watch.takeCatches().filter(({ run }) => run !== 23),
    }),
  }));
  equal(result.lostAfter, 1);
  equal(result.fates.filter(({ verdict }) => verdict === 3).length, 49);
});

wireTest("a frame of somebody else is seen", async (kernel) => {
  const frames = randomFrames(50, 1);
  const stranger = { data: new Uint8Array(60).fill(9), to: 0 };
  const result = await tampered(kernel, frames, (sender) => ({
    send: ([own = []], batch) => sender.send([[...own, stranger]], batch),
  }));
  equal(result.strays, 1);
  equal(result.fates.length, 50);
});
