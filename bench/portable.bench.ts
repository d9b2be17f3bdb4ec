/**
 * The portable engine: nanoseconds per packet of the programs in nfs/c, next to the
 * kernel's JIT where bpf(2) works; what one core more brings, with private and with
 * shared memory; how fast packets get in; how long compiling takes.
 *
 * Program figures are net: of an empty program in the same loop of the same engine,
 * measured in turn with it (`includes: "program"`). Both engines get the same packets
 * with the same interface numbers and first contents. Not in them: NIC, driver,
 * dispatch, the copying of packets. The two engines still do not do the same thing: the
 * portable one has maps without RCU, a cheaper hash and no retpolines. A portable
 * figure never predicts a kernel's; the ratio says what a trace costs here and there.
 *
 * Portable times are those of rounds in which the thread did not wait for a CPU (and,
 * in shared memory, in which all cores got on); what a hypervisor takes is in them.
 */
import { readFileSync, readdirSync } from "node:fs";
import { cpus, loadavg, release } from "node:os";
import { join } from "node:path";
import {
  differenceInterval,
  emptyProgram,
  loadPortable,
  measureInterleaved,
  median,
  medianInterval,
  openKernel,
  PackedPackets,
  PortableSubject,
  prepareSubject,
  quantile,
  runParallel,
  type Kernel,
  type Subject,
} from "#engine";
import { UnsupportedError } from "#base";
import { compile } from "#codegen";
import type { MapEntry, PacketInput } from "#interp";
import { parseFunctions, type MapSpec, type ProgramSpec } from "#isa";
import { programSpec, readObject, type Btf } from "#object";
import { generate, parseGenerator } from "#traffic";

const folder = join(import.meta.dirname, "../../nfs/c");
const trace = "gen:uniform,packets=4096,flows=1024,seed=1";
const seed = 1;
/** Samples of each row; a sample is some milliseconds. */
const samples = 12;
const scalingSamples = 8;
const samplePackets = 60_000;
/** Milliseconds; on a busy machine a sample has fewer packets. */
const longest = 120;

const packets: PacketInput[] = Array.from(
  generate(parseGenerator(trace)),
  ({ data, time, port }) => ({
    data,
    time,
    ifindex: 1 + port,
    rxQueue: 0,
    cpu: 0,
  }),
);

function onCore(core: number, list: readonly PacketInput[] = packets) {
  return list.map((packet) => ({ ...packet, rxQueue: core, cpu: core }));
}

interface Case {
  readonly program: ProgramSpec;
  readonly btf?: Btf;
  readonly contents: Readonly<Record<string, readonly MapEntry[]>>;
  /** Whether it looks anything up. */
  readonly bound: "map" | "compute";
}

const index = (value: number): Uint8Array => Uint8Array.of(value, 0, 0, 0);
/** Both ports lead to the loopback device, which every kernel has. */
const ports: readonly MapEntry[] = [
  { key: index(0), value: index(1) },
  { key: index(1), value: index(1) },
];

function caseOf(file: string): Case {
  const object = readObject(readFileSync(join(folder, file)), file);
  const program = programSpec(object);
  const names = program.maps.map(({ name }) => name);
  const keyed = program.maps.some(({ data }) => data === undefined);
  return {
    program,
    ...(object.btf === undefined ? {} : { btf: object.btf }),
    contents: names.includes("ports") ? { ports } : {},
    bound: keyed ? "map" : "compute",
  };
}

/** Twelve rounds of a hash over twelve words of the packet; no map. */
function alu(): Case {
  const mix = Array.from(
    { length: 12 },
    (_, word) => `r1 = *(u32 *)(r6 + ${4 * word})
      r7 ^= r1
      r7 *= 0x5bd1e995
      r1 = r7
      r1 >>= 29
      r7 ^= r1
      r8 += r7
      r8 <<= 1`,
  ).join("\n");
  const text = `r6 = *(u32 *)(r1 + 0)
    r2 = *(u32 *)(r1 + 4)
    r3 = r6
    r3 += 60
    r0 = 1
    if r3 > r2 goto out
    r7 = 7
    r8 = 0
    ${mix}
    r7 ^= r8
    r0 = r7
    r0 &= 1
    r0 += 1
    out:
    exit`;
  const functions = parseFunctions(text);
  const program = { ...emptyProgram, file: "alu", name: "alu", functions };
  return { program, contents: {}, bound: "compute" };
}

/** A counter of two words per flow, kept in some way; keys are source addresses. */
function counting(how: "racy" | "atomic" | "lock"): Case {
  const at = how === "lock" ? 8 : 0;
  const plain = [at, at + 8]
    .map(
      (offset) => `r1 = *(u64 *)(r7 + ${offset})
        r1 += 1
        *(u64 *)(r7 + ${offset}) = r1`,
    )
    .join("\n");
  const atomic = `r1 = 1
    lock *(u64 *)(r7 + 0) += r1
    lock *(u64 *)(r7 + 8) += r1`;
  const locked = `r1 = r7
    call spin_lock
    ${plain}
    r1 = r7
    call spin_unlock`;
  const add = { racy: plain, atomic, lock: locked }[how];
  const text = `r6 = *(u32 *)(r1 + 0)
    r2 = *(u32 *)(r1 + 4)
    r3 = r6
    r3 += 34
    r0 = 2
    if r3 > r2 goto out
    r1 = *(u32 *)(r6 + 26)
    *(u32 *)(r10 - 4) = r1
    r1 = map flows ll
    r2 = r10
    r2 += -4
    call map_lookup_elem
    r7 = r0
    r0 = 2
    if r7 == 0 goto out
    ${add}
    r0 = 1
    out:
    exit`;
  const flows: MapSpec = {
    name: "flows",
    type: "hash",
    keySize: 4,
    valueSize: at + 16,
    maxEntries: 4096,
    flags: 0,
    section: ".maps",
    readOnly: false,
    ...(how === "lock"
      ? {
          valueFields: [
            { path: "lock", bitOffset: 0, bits: 32, kind: "spin-lock" },
          ],
        }
      : {}),
  };
  const functions = parseFunctions(text);
  return {
    program: {
      ...emptyProgram,
      file: how,
      name: how,
      functions,
      maps: [flows],
    },
    contents: {
      flows: [...keys()].map((key) => ({
        key,
        value: new Uint8Array(at + 16),
      })),
    },
    bound: "map",
  };
}

function keys(): Iterable<Uint8Array> {
  return new Map(
    packets.map(({ data }) => {
      const key = data.slice(26, 30);
      return [key.join(), key];
    }),
  ).values();
}

/** One series of samples: mean over the cores of each. */
interface Row {
  readonly label: Readonly<Record<string, unknown>>;
  readonly own: PortableSubject;
  readonly base: PortableSubject;
  readonly times: number[];
  readonly bases: number[];
  readonly trips: number[];
}

function row(
  label: Row["label"],
  { program, contents }: Case,
  lists: readonly (readonly PacketInput[])[],
  memory: "private" | "shared" = "private",
): Row {
  return {
    label,
    own: new PortableSubject(program, {
      packets: lists,
      contents,
      seed,
      memory,
    }),
    base: new PortableSubject(emptyProgram, { packets: lists }),
    times: [],
    bases: [],
    trips: [],
  };
}

/** All rows in turn, so that what drifts drifts for all; the first round warms up. */
async function sampleAll(rows: readonly Row[], most: number): Promise<void> {
  for (let round = -1; round < most; round++)
    for (const { own, base, times, bases, trips } of rows)
      for (const [subject, into] of [
        [own, times],
        [base, bases],
      ] as const) {
        const count = round < 0 ? 1000 : samplePackets;
        const answers = await subject.sample(count, longest);
        if (round < 0 || answers === undefined) continue;
        into.push(
          answers.reduce((sum, each) => sum + each.ns / each.packets, 0) /
            answers.length,
        );
        const trip = answers[0]?.roundTripNs ?? 0;
        if (into === times && trip > 0) trips.push(trip);
      }
  for (const { own, base } of rows) {
    await own.close();
    await base.close();
  }
}

function figures({ times, bases }: Pick<Row, "times" | "bases">) {
  if (times.length === 0 || bases.length === 0) return { samples: 0 };
  return {
    nsPerPacket: round1(median(times)),
    ci95: medianInterval(times, { seed }).map(round1),
    netNs: round1(median(times) - median(bases)),
    netCi95: differenceInterval(times, bases, { seed }).map(round1),
    least: round1(Math.min(...times)),
    samples: times.length,
  };
}

function round1(value: number): number {
  return Math.round(value * 10) / 10;
}

async function open(): Promise<Kernel | string> {
  try {
    return await openKernel();
  } catch (error) {
    if (error instanceof UnsupportedError) return error.message;
    throw error;
  }
}

/** By program: samples of it and of an empty one, in a loop inside the kernel. */
async function inKernel(kernel: Kernel, cases: readonly Case[]) {
  const subjects: Subject[] = [];
  try {
    const options = { packets: [packets] };
    const own = cases.map(({ program, contents, btf }) =>
      prepareSubject(kernel, program, {
        ...options,
        contents,
        ...(btf === undefined ? {} : { btf }),
      }),
    );
    subjects.push(...own, prepareSubject(kernel, emptyProgram, options));
    const measured = await measureInterleaved(kernel, subjects, {
      samples,
      burst: 30,
    });
    const timesOf = (at: number): number[] =>
      (measured[at]?.samples ?? []).map(({ nsPerPacket }) => nsPerPacket);
    const bases = timesOf(cases.length);
    return cases.map((_, at) => ({
      how: own[at]?.how,
      notes: own[at]?.notes ?? [],
      figures: figures({ times: timesOf(at), bases }),
    }));
  } finally {
    for (const subject of subjects) subject.close();
  }
}

function compileTimes(cases: readonly Case[]) {
  const sizes = cases.map(({ program }) =>
    program.functions.reduce((sum, fn) => sum + fn.instructions.length, 0),
  );
  const total = sizes.reduce((sum, size) => sum + size, 0);
  const times: number[] = [];
  for (let round = 0; round < 40; round++) {
    const before = process.cpuUsage();
    for (const { program } of cases) compile(program, { cpus: 1 });
    const { user, system } = process.cpuUsage(before);
    times.push((user + system) / total);
  }
  const loads = cases.map(({ program }) => {
    const started = performance.now();
    loadPortable(program, { cpus: 1 });
    return performance.now() - started;
  });
  return {
    instructions: total,
    usPerInstruction: round1(median(times.slice(10))),
    least: round1(Math.min(...times)),
    firstRound: round1(times[0] ?? 0),
    loadMs: round1(median(loads)),
    includes:
      "translation to WebAssembly, programs of nfs/c one after the other",
  };
}

/** Packets from memory through a worker, everything included but its start. */
async function feed(program: ProgramSpec, cores: number, streamed: boolean) {
  const count = 300_000;
  const all = Array.from(
    { length: count },
    (_, at) => packets[at % packets.length] ?? onCore(0)[0],
  ).filter((packet) => packet !== undefined);
  const packed = PackedPackets.pack(all);
  const steer = Uint8Array.from(all, (_, at) => at % cores);
  const rates: number[] = [];
  for (let round = 0; round < 3; round++) {
    const run = await runParallel({
      program,
      cores,
      packets: streamed ? all.values() : packed,
      steer,
    });
    for (const core of run.cores)
      rates.push((1e3 * core.packets) / core.busyNs);
  }
  return {
    cores,
    from: streamed ? "another thread, through the ring" : "memory, by itself",
    bytes: packets[0]?.data.length,
    mppsPerCore: round1(median(rates)),
    range: [round1(Math.min(...rates)), round1(Math.max(...rates))],
    includes: streamed
      ? "the worker's part only: an empty program, verdicts out; CPU time"
      : "taking packets in, an empty program, verdicts out; CPU time",
  };
}

const cases = [
  ...readdirSync(folder)
    .filter((name) => name.endsWith(".o"))
    .map(caseOf),
  alu(),
];
const loadBefore = loadavg()[0] ?? 0;
const compiling = compileTimes(cases);
console.error(`  compiling: ${compiling.usPerInstruction} µs per instruction`);
const alone = cases.map((each) =>
  row({ program: each.program.name, bound: each.bound }, each, [packets]),
);
await sampleAll(alone, samples);
const kernel = await open();
const besides =
  typeof kernel === "string" ? undefined : await inKernel(kernel, cases);
if (typeof kernel !== "string") kernel.close();
const programs = alone.map((each, at) => {
  const portable = figures(each);
  const other = besides?.[at];
  const net = other?.figures.netNs;
  const ratio =
    net === undefined || net < 0.5 || portable.netNs === undefined
      ? undefined
      : Math.round((100 * portable.netNs) / net) / 100;
  console.error(
    `  ${String(each.label["program"]).padEnd(16)} net ns: portable ${portable.netNs ?? "–"}, kernel ${net ?? "–"}, ratio ${ratio ?? "–"}`,
  );
  return {
    ...each.label,
    cores: 1,
    real: true,
    includes: "program",
    placement: "single",
    portable,
    ...(other === undefined
      ? {}
      : { kernel: { ...other.figures, how: other.how, notes: other.notes } }),
    ...(ratio === undefined ? {} : { ratio }),
  };
});

const scaled = ["alu", "firewall", "flow_counter", "port_knock"];
const half = (core: number): PacketInput[] =>
  onCore(core).filter(({ data }) => ((data[29] ?? 0) & 1) === core);
const scalingRows = [
  ...cases
    .filter(({ program }) => scaled.includes(program.name))
    .map((each) => ({ each, name: each.program.name, memory: "private" })),
  ...(["racy", "atomic", "lock"] as const).map((how) => ({
    each: counting(how),
    name: how,
    memory: "shared",
  })),
].flatMap(({ each, name, memory }) =>
  (memory === "shared" ? ["same", "disjoint"] : ["own"]).map((flows) => {
    const lists =
      flows === "disjoint" ? [half(0), half(1)] : [onCore(0), onCore(1)];
    const kind = memory === "shared" ? "shared" : "private";
    const label = { program: name, memory, flows };
    return [1, 2].map((count) => row(label, each, lists.slice(0, count), kind));
  }),
);
await sampleAll(scalingRows.flat(), scalingSamples);
const scaling = scalingRows.map(([one, two]) => {
  const first = one === undefined ? undefined : figures(one);
  const second = two === undefined ? undefined : figures(two);
  const scale =
    first?.nsPerPacket === undefined || second?.nsPerPacket === undefined
      ? undefined
      : Math.round((200 * first.nsPerPacket) / second.nsPerPacket) / 100;
  const { program, memory, flows } = one?.label ?? {};
  const title = [program, memory, flows].map(String).join(", ");
  console.error(`  ${title} flows: 1 → 2 cores ${scale ?? "–"}`);
  const trips = two?.trips ?? [];
  return {
    ...one?.label,
    real: true,
    includes: "program",
    scale,
    one: first,
    two: second,
    roundTripNs: trips.length === 0 ? null : trips.map(Math.round),
    placement:
      trips.length === 0
        ? "untagged"
        : quantile(trips, 1) < 200
          ? "near"
          : quantile(trips, 0) > 270
            ? "far"
            : "untagged",
  };
});

const feeding = [
  await feed(emptyProgram, 1, false),
  await feed(emptyProgram, 2, false),
  await feed(emptyProgram, 1, true),
];
for (const { cores, from, mppsPerCore } of feeding)
  console.error(`  feed, ${cores} cores, ${from}: ${mppsPerCore} M/s per core`);

console.log(
  JSON.stringify({
    schema: "divisi.bench-portable/2",
    machine: {
      cpu: cpus()[0]?.model ?? "unknown",
      cpus: cpus().length,
      node: process.version,
      kernel: release(),
      loadAverage: [round1(loadBefore), round1(loadavg()[0] ?? 0)],
    },
    trace,
    portable:
      "time inside the compiled program and its helpers, in rounds in which no thread waited for a CPU; net: less an empty program in the same loop; 95 % bootstrap intervals of medians",
    kernel:
      typeof kernel === "string"
        ? `not measured: ${kernel}`
        : "the program in a loop over the same packets inside the kernel, JIT, real-time thread; net: less an empty program in the same loop",
    programs,
    scaling,
    compile: compiling,
    feed: feeding,
  }),
);
