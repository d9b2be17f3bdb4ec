/**
 * The controlled environment against the interpreter: what each exchanged call
 * answers, what redirects and events a run shows, and that a wrong machine is seen.
 */
import { deepEqual, equal, ok, throws } from "node:assert/strict";
import { test } from "node:test";
import { Bug, Random, UnsupportedError } from "../../../base/index.ts";
import { environmentLayout, environmentMap } from "../../../codegen/index.ts";
import { variedEnvironment, type PacketInput } from "../../../interp/index.ts";
import {
  parseFunctions,
  type MapSpec,
  type ProgramSpec,
  type ProgramTypeName,
} from "../../../isa/index.ts";
import {
  compareRecords,
  interpRunner,
  type Comparison,
  type MapContents,
  type StateRule,
} from "../../../proof/index.ts";
import { possibleCpus } from "../../../host/index.ts";
import { asKernelShows } from "./event-reader.ts";
import { openKernel, type Kernel } from "../kernel.ts";
import { kernelRunner } from "./kernel-runner.ts";
import { testRunTakes } from "./packet-runs.ts";
import { isComparable, KernelStage } from "./kernel-stage.ts";

const seed = Number(process.env["DIVISI_SEED"] ?? 1);

function kernelTest(name: string, body: (kernel: Kernel) => void): void {
  test(`${name} (seed ${seed})`, async (t) => {
    let kernel: Kernel;
    try {
      kernel = await openKernel();
    } catch (error) {
      if (!(error instanceof UnsupportedError)) throw error;
      t.skip(error.message);
      return;
    }
    try {
      body(kernel);
    } finally {
      kernel.close();
    }
  });
}

function programOf(
  text: string,
  maps: readonly MapSpec[] = [],
  type: ProgramTypeName = "xdp",
): ProgramSpec {
  return {
    file: "test",
    name: "main",
    section: type === "xdp" ? "xdp" : "tc",
    type,
    license: "GPL",
    functions: parseFunctions(text),
    maps,
  };
}

function mapOf(
  name: string,
  type: MapSpec["type"],
  more: Partial<MapSpec> = {},
): MapSpec {
  return {
    name,
    type,
    keySize: 4,
    valueSize: 8,
    maxEntries: 16,
    flags: 0,
    section: ".maps",
    readOnly: false,
    ...more,
  };
}

const word = (value: number): Uint8Array =>
  new Uint8Array(Uint32Array.of(value).buffer);

const cores = 5;

/** Frames whose first bytes are small numbers; times, ports, queues and CPUs vary. */
function packetsOf(count: number, cpus = cores): PacketInput[] {
  const random = new Random(seed);
  return Array.from({ length: count }, (_, at) => ({
    data: Uint8Array.from({ length: 64 + random.below(64) }, (_byte, index) =>
      index < 16 ? random.below(6) : random.below(256),
    ),
    ifindex: random.pick([11, 12, 13]),
    rxQueue: random.below(4),
    cpu: random.below(cpus),
    time: BigInt(at) * 1_000_003n + (random.u64() % 1000n),
  }));
}

/** Puts the pointer to the packet into r7, having checked 64 bytes; context in r6. */
const start = `
  r6 = r1
  r7 = *(u32 *)(r1 + 0)
  r8 = *(u32 *)(r1 + 4)
  r1 = r7
  r1 += 64
  r0 = 1
  if r1 > r8 goto out`;
/** The same for TC. */
const startTc = start
  .replace("(r1 + 0)", "(r1 + 76)")
  .replace("(r1 + 4)", "(r1 + 80)");

interface Setting {
  readonly contents?: MapContents;
  readonly cpus?: number;
  readonly packets?: readonly PacketInput[];
  readonly routes?: "none" | "varied";
  /** What the kernel runs instead. */
  readonly other?: ProgramSpec;
}

/** Interpreter against kernel. */
function compared(
  kernel: Kernel,
  program: ProgramSpec,
  setting: Setting = {},
): Comparison {
  const { contents = {}, cpus = cores, other = program } = setting;
  const packets = setting.packets ?? packetsOf(200, cpus);
  const rules = new Map<string, StateRule>(
    program.maps
      .filter((map) => !isComparable(map))
      .map(({ name }) => [name, { kind: "unread" }]),
  );
  const want = interpRunner(program, {
    contents,
    seed,
    environment: setting.routes === "varied" ? variedEnvironment : {},
    shown: asKernelShows,
  })(packets, cpus);
  ok(new Set(want.verdicts).size > 0);
  const have = kernelRunner(kernel, other, {
    contents,
    seed,
    routes: setting.routes ?? "none",
  })(packets, cpus);
  return compareRecords(want, have, rules);
}

function expectAgreement(
  kernel: Kernel,
  program: ProgramSpec,
  setting: Setting = {},
): void {
  const { first, mismatches } = compared(kernel, program, setting);
  deepEqual(first, []);
  equal(mismatches, 0);
}

const bodies: Readonly<Record<string, string>> = {
  ktime_get_ns: "call ktime_get_ns",
  ktime_get_boot_ns: "call ktime_get_boot_ns",
  ktime_get_coarse_ns: "call ktime_get_coarse_ns",
  ktime_get_tai_ns: "call ktime_get_tai_ns",
  jiffies64: "call jiffies64",
  "get_prandom_u32, three times": `
    call get_prandom_u32
    r9 = r0
    call get_prandom_u32
    r9 *= 31
    r9 += r0
    call get_prandom_u32
    r9 *= 31
    r0 += r9`,
  get_smp_processor_id: "call get_smp_processor_id",
  "the CPU number has a range": `
    call get_smp_processor_id
    r1 = 0x0706050403020100 ll
    *(u64 *)(r10 - 8) = r1
    r1 = r10
    r1 += -8
    r1 += r0
    r0 = *(u8 *)(r1 + 0)`,
};
for (const [name, body] of Object.entries(bodies))
  kernelTest(`${name} answers what the interpreter answers`, (kernel) => {
    const program = programOf(`${start}
      ${body}
      *(u64 *)(r7 + 16) = r0
      r0 = 2
      out:\n exit`);
    expectAgreement(kernel, program);
  });

kernelTest("left as it is, the clock is the kernel's", (kernel) => {
  const program = programOf(`${start}
    call ktime_get_ns
    *(u64 *)(r7 + 16) = r0
    r0 = 2
    out:\n exit`);
  const stage = new KernelStage(kernel, program, { asIs: true });
  deepEqual(stage.rewritten, []);
  const times: bigint[] = [];
  stage.run(packetsOf(3, 1), () => {
    times.push(stage.runs.output.readBigUInt64LE(16));
  });
  ok(times.every((time) => time > 1_000_000_000n));
  stage.close();
});

kernelTest("more random numbers than there are: not comparable", (kernel) => {
  const program = programOf(`${start}
    r9 = 0
    again:
    call get_prandom_u32
    r9 += 1
    if r9 < 65 goto again
    r0 = 2
    out:\n exit`);
  const stage = new KernelStage(kernel, program);
  throws(
    () => {
      stage.run(packetsOf(1), () => {});
    },
    (error) =>
      error instanceof UnsupportedError && /not comparable/.test(error.message),
  );
  stage.close();
});

kernelTest(
  "a CPU number out of range drops the packet and is seen",
  (kernel) => {
    for (const [type, drop] of [
      ["xdp", 0],
      ["sched_cls", 2],
    ] as const) {
      const program = programOf(
        "call get_smp_processor_id\nr0 += 5\nexit",
        [],
        type,
      );
      const stage = new KernelStage(kernel, program, { cpus: 3 });
      const [packet] = packetsOf(1);
      ok(packet !== undefined);
      const verdicts: number[] = [];
      stage.run([{ ...packet, cpu: 2 }], () =>
        verdicts.push(stage.runs.verdict),
      );
      throws(() => {
        stage.run([{ ...packet, cpu: 3 }], () =>
          verdicts.push(stage.runs.verdict),
        );
      }, Bug);
      deepEqual(verdicts, [7, drop]);
      const [value] = stage.map(environmentMap).entries()[0]?.[1] ?? [];
      equal(value?.[environmentLayout.clamped], 1);
      stage.close();
    }
  },
);

const perCpu = mapOf("counts", "percpu_array", { maxEntries: 4 });
const count = `${start}
  call get_smp_processor_id
  *(u32 *)(r10 - 4) = r0
  w0 &= 3
  *(u32 *)(r10 - 4) = r0
  r1 = map counts ll
  r2 = r10
  r2 += -4
  call map_lookup_elem
  if r0 == 0 goto out
  r1 = *(u64 *)(r0 + 0)
  r1 += 1
  *(u64 *)(r0 + 0) = r1
  r0 = 2
  out:\n exit`;

kernelTest("per-CPU maps: on the packet's CPU, or not at all", (kernel) => {
  const program = programOf(count, [perCpu]);
  const here = possibleCpus();
  const stage = new KernelStage(kernel, program);
  equal(stage.pinned, true);
  deepEqual(stage.rewritten, []);
  stage.close();
  expectAgreement(kernel, program, { cpus: here });
  throws(
    () => new KernelStage(kernel, program, { cpus: here + 1 }),
    (error) =>
      error instanceof UnsupportedError && /not comparable/.test(error.message),
  );
});

// --- redirects ---

const devices = mapOf("devices", "devmap", { valueSize: 4 });
const others = mapOf("others", "devmap_hash", { valueSize: 4 });
const workers = mapOf("workers", "cpumap", { valueSize: 4 });
const sockets = mapOf("sockets", "xskmap", { valueSize: 4 });
const targets = [devices, others, workers, sockets];
const entries = (...pairs: readonly (readonly [number, number])[]) =>
  pairs.map(([key, value]) => ({ key: word(key), value: word(value) }));
const filled: MapContents = {
  devices: entries([0, 12], [2, 13]),
  others: entries([1, 13], [3, 12]),
  workers: entries([0, 64]),
};
/** Key from the packet's first byte, flags from its second. */
const toMap = (name: string, flags: string): string => `
  r2 = *(u8 *)(r7 + 0)
  r3 = *(u8 *)(r7 + 1)
  r3 ${flags}
  r1 = map ${name} ll
  call redirect_map`;

const redirects: Readonly<Record<string, string>> = {
  redirect:
    "r1 = *(u8 *)(r7 + 0)\nr2 = *(u8 *)(r7 + 1)\nr2 &= 1\ncall redirect",
  "redirect_map, every flag": toMap("devices", "&= 31"),
  "redirect_map, hash": toMap("others", "&= 2"),
  "redirect_map, broadcast": toMap("others", "|= 8"),
  "redirect_map, CPU": toMap("workers", "&= 7"),
  "redirect_map, socket": toMap("sockets", "&= 3"),
  "two redirects, the last counts": `${toMap("devices", "&= 3")}
    ${toMap("others", "&= 3")}`,
  "a redirect by constant": "r0 = 4",
};
for (const [name, body] of Object.entries(redirects))
  kernelTest(`${name}: the same target`, (kernel) => {
    const program = programOf(`${start}\n${body}\nout:\n exit`, targets);
    expectAgreement(kernel, program, { contents: filled });
  });

const fromTc: Readonly<Record<string, string>> = {
  redirect: "r2 = *(u8 *)(r7 + 1)\nr2 &= 3\ncall redirect",
  redirect_peer: "r2 = *(u8 *)(r7 + 1)\nr2 &= 1\ncall redirect_peer",
  redirect_neigh:
    "r2 = 0\nr3 = 0\nr4 = *(u8 *)(r7 + 1)\nr4 &= 1\ncall redirect_neigh",
};
for (const [name, body] of Object.entries(fromTc))
  kernelTest(`${name} of TC: the same target`, (kernel) => {
    const text = `${startTc}\nr1 = *(u8 *)(r7 + 0)\n${body}\nout:\n exit`;
    expectAgreement(kernel, programOf(text, [], "sched_cls"));
  });

kernelTest("routes are the interpreter's", (kernel) => {
  const text = `${start}
    r9 = *(u8 *)(r7 + 0)
    r1 = 0
    r2 = -64
    clear:
    r3 = r10
    r3 += r2
    *(u64 *)(r3 + 0) = r1
    r2 += 8
    if r2 != 0 goto clear
    r1 = 2
    if r9 < 2 goto family
    r1 = 10
    if r9 < 5 goto family
    r1 = 3
    family:
    *(u8 *)(r10 - 64) = r1
    r1 = *(u16 *)(r7 + 20)
    r1 &= 2047
    *(u16 *)(r10 - 58) = r1
    r1 = *(u32 *)(r7 + 24)
    *(u32 *)(r10 - 32) = r1
    r1 = *(u8 *)(r7 + 28)
    r2 = *(u8 *)(r7 + 0)
    if r2 > 3 goto wide
    r1 &= 240
    wide:
    *(u8 *)(r10 - 29) = r1
    *(u8 *)(r10 - 17) = r1
    r1 = r6
    r2 = r10
    r2 += -64
    r3 = 64
    r4 = *(u8 *)(r7 + 1)
    if r4 != 5 goto some
    r4 = 64
    some:
    call fib_lookup
    *(u64 *)(r7 + 0) = r0
    r1 = *(u64 *)(r10 - 16)
    *(u64 *)(r7 + 8) = r1
    r1 = *(u64 *)(r10 - 8)
    *(u64 *)(r7 + 16) = r1
    r1 = *(u64 *)(r10 - 64)
    *(u64 *)(r7 + 24) = r1
    r1 = *(u64 *)(r10 - 56)
    *(u64 *)(r7 + 32) = r1
    r0 = 2
    out:\n exit`;
  for (const routes of ["none", "varied"] as const)
    expectAgreement(kernel, programOf(text), { routes });
});

kernelTest("metadata in front is not the frame", (kernel) => {
  const text = `r6 = r1
    r2 = -8
    call xdp_adjust_meta
    r1 = *(u32 *)(r6 + 8)
    r2 = *(u32 *)(r6 + 0)
    r3 = r1
    r3 += 8
    r0 = 1
    if r3 > r2 goto out
    *(u64 *)(r1 + 0) = -1
    r0 = 2
    out:
    exit`;
  expectAgreement(kernel, programOf(text));
});

kernelTest("programs in cpumaps and devmaps run as any other", (kernel) => {
  for (const section of ["xdp/cpumap", "xdp/devmap"]) {
    const program = { ...programOf("r0 = 3\nexit"), section };
    expectAgreement(kernel, program);
  }
});

kernelTest("which frames a test run takes", (kernel) => {
  for (const type of ["xdp", "sched_cls"] as const) {
    const stage = new KernelStage(kernel, programOf("r0 = 2\nexit", [], type));
    for (const protocol of [0x0800, 0x86dd, 0x0806, 0, 0x8100])
      for (const length of [0, 13, 14, 15, 33, 34, 53, 54, 1514, 3520]) {
        const data = new Uint8Array(length);
        if (length > 13) new DataView(data.buffer).setUint16(12, protocol);
        const packet = { data, ifindex: 11, rxQueue: 0, cpu: 0, time: 0n };
        const run = (): void => {
          stage.run([packet], () => {});
        };
        if (testRunTakes(type, packet)) run();
        else throws(run, /EINVAL/, `${type} ${protocol} ${length}`);
      }
    stage.close();
  }
});

// --- events ---

const ring = mapOf("ring", "ringbuf", {
  keySize: 0,
  valueSize: 0,
  maxEntries: 8192,
});
const perf = mapOf("perf", "perf_event_array", { valueSize: 4, maxEntries: 0 });
/** The frame's first 64 bytes on the stack, and how many of them to send in r9. */
const sized = [
  ...[0, 8, 16, 24, 32, 40, 48, 56].map(
    (at) => `r1 = *(u64 *)(r7 + ${at})\n*(u64 *)(r10 - ${64 - at}) = r1`,
  ),
  "r9 = *(u8 *)(r7 + 20)\nr9 &= 63\nr9 += 1",
].join("\n");
const events: Readonly<Record<string, string>> = {
  "ring buffer output": `${sized}
    r1 = map ring ll
    r2 = r10
    r2 += -64
    r3 = r9
    r4 = *(u8 *)(r7 + 1)
    call ringbuf_output`,
  "ring buffer records": `
    r1 = map ring ll
    r2 = 12
    r3 = 0
    call ringbuf_reserve
    if r0 == 0 goto out
    r1 = *(u32 *)(r7 + 0)
    *(u32 *)(r0 + 0) = r1
    r1 = *(u64 *)(r7 + 16)
    *(u32 *)(r0 + 4) = r1
    *(u32 *)(r0 + 8) = 7
    r1 = r0
    r2 = *(u8 *)(r7 + 0)
    if r2 > 2 goto drop
    r2 = 0
    call ringbuf_submit
    r0 = 2
    goto out
    drop:
    r2 = 0
    call ringbuf_discard
    r0 = 1`,
  "perf events": `${sized}
    r1 = r6
    r2 = map perf ll
    r3 = 0xffffffff ll
    r4 = *(u8 *)(r7 + 1)
    r4 *= 30
    r4 <<= 32
    r3 |= r4
    r4 = r10
    r4 += -64
    r5 = r9
    call perf_event_output
    r0 = 2`,
};
for (const [name, body] of Object.entries(events))
  kernelTest(`${name}: the same events, packet by packet`, (kernel) => {
    const text = `${start}\n${body}\nout:\n exit`;
    const program = programOf(text, [ring, perf]);
    // Enough to go round the buffers several times.
    const packets = packetsOf(6000);
    expectAgreement(kernel, program, { packets });
    const { effects } = interpRunner(program, { seed })(packets, cores);
    ok(effects.some((half) => half !== 0));
  });

kernelTest("prints are not readable, and not compared", (kernel) => {
  const text = `${start}
    *(u32 *)(r10 - 8) = 0x000a6968
    r1 = r10
    r1 += -8
    r2 = 4
    call trace_printk
    r0 = 2
    out:
    exit`;
  expectAgreement(kernel, programOf(text), { packets: packetsOf(3) });
});

// --- wrong machines ---

const table = mapOf("table", "hash");
const everything = `${start}
  r9 = *(u8 *)(r7 + 0)
  *(u64 *)(r10 - 8) = 0
  *(u32 *)(r10 - 4) = r9
  call ktime_get_ns
  *(u64 *)(r10 - 16) = r0
  if r9 > 4 goto quiet
  r1 = map table ll
  r2 = r10
  r2 += -4
  r3 = r10
  r3 += -16
  r4 = 0
  call map_update_elem
  r1 = map ring ll
  r2 = r10
  r2 += -16
  r3 = 16
  r4 = 0
  call ringbuf_output
  quiet:
  r1 = map devices ll
  r2 = 2
  r3 = 1
  call redirect_map
  out:
  exit`;

const mutants: readonly (readonly [string, string, string])[] = [
  ["a branch negated", "if r9 > 4 goto quiet", "if r9 <= 4 goto quiet"],
  ["a map write dropped", "call map_update_elem", "r0 = 0"],
  ["an event dropped", "call ringbuf_output", "r0 = 0"],
  ["an event's byte changed", "r3 = 16", "r3 = 15"],
  ["a redirect's key changed", "r2 = 2\n", "r2 = 0\n"],
  ["a redirect's flags changed", "r3 = 1\n", "r3 = 2\n"],
  ["a redirect's map changed", "r1 = map devices ll", "r1 = map others ll"],
  ["another clock", "call ktime_get_ns", "call jiffies64"],
];
kernelTest("every wrong machine is seen", (kernel) => {
  const maps = [table, ring, devices, others];
  const contents = { ...filled, others: entries([2, 13], [0, 12]) };
  delete (contents as Record<string, unknown>)["workers"];
  const program = programOf(everything, maps);
  expectAgreement(kernel, program, { contents });
  for (const [name, from, to] of mutants) {
    const text = everything.replace(from, to);
    ok(text !== everything, name);
    const other = programOf(text, maps);
    ok(compared(kernel, program, { contents, other }).mismatches > 0, name);
  }
  // The clock left to the kernel.
  const packets = packetsOf(20, 1);
  const want = interpRunner(program, { contents, seed })(packets, 1);
  const own = kernelRunner(kernel, program, { contents, asIs: true })(
    packets,
    1,
  );
  ok(compareRecords(want, own, new Map()).mismatches > 20);
});

// --- hash maps ---

kernelTest("the order of a hash map can be had again", (kernel) => {
  const program = programOf("r0 = 2\nr1 = map table ll\nexit", [
    mapOf("table", "hash", { maxEntries: 64 }),
  ]);
  const orders = [0, 1, 2].map(() => {
    const stage = new KernelStage(kernel, program);
    for (let key = 0; key < 64; key++)
      stage.update("table", word(key), new Uint8Array(8));
    const order = stage.map("table").keys().join(" ");
    stage.close();
    return order;
  });
  equal(new Set(orders).size, 1);
});

/**
 * What the kernel evicts from a full LRU map depends on CPUs and batches: compared are
 * only that it never holds more than fits, that it holds something of what came last,
 * and that the newest key is there.
 */
kernelTest("a full LRU map: size and recency only", (kernel) => {
  const maxEntries = 256;
  const put = programOf(
    `${start}
      r1 = *(u32 *)(r7 + 16)
      *(u32 *)(r10 - 4) = r1
      *(u64 *)(r10 - 16) = 7
      r1 = map recent ll
      r2 = r10
      r2 += -4
      r3 = r10
      r3 += -16
      r4 = 0
      call map_update_elem
      r0 = 2
      out:
      exit`,
    [mapOf("recent", "lru_hash", { maxEntries })],
  );
  const stage = new KernelStage(kernel, put);
  const packets = packetsOf(2000);
  stage.run(packets, () => {});
  const keys = stage.map("recent").keys().map(String);
  stage.close();
  const came = packets.map(({ data }) => String(data.slice(16, 20)));
  ok(
    keys.length <= maxEntries && keys.length >= maxEntries / 4,
    `${keys.length}`,
  );
  ok(keys.includes(came.at(-1) ?? ""));
  const recent = new Set(came.slice(-2 * maxEntries));
  ok(keys.every((key) => recent.has(key)));
});
