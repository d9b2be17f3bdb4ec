/**
 * Nanoseconds per packet of the programs in nfs/c on the portable engine, one thread,
 * next to the kernel's TEST_RUN where bpf(2) works.
 *
 * Both figures cover the program alone (`includes: "program"`): no NIC, no driver, no
 * dispatch, and for the portable engine no copying of packets into its memory. They
 * do not measure the same thing twice. The portable engine runs a trace of many flows,
 * batch by batch, on maps without RCU; TEST_RUN repeats one packet of one flow, counts
 * whole nanoseconds, and has the cost of a repeat in it, given as `overheadNs`. A
 * portable figure never predicts a kernel's.
 */
import { readFileSync, readdirSync } from "node:fs";
import { cpus } from "node:os";
import { join } from "node:path";
import {
  loadPortable,
  measureOverhead,
  measureTestRun,
  openKernel,
  type Kernel,
} from "#engine";
import { UnsupportedError } from "#base";
import type { MapEntry, PacketInput } from "#interp";
import type { ProgramSpec } from "#isa";
import { programSpec, readObject } from "#object";
import { generate, parseGenerator } from "#traffic";

const folder = join(import.meta.dirname, "../../nfs/c");
const trace = "gen:uniform,packets=4096,flows=1024,seed=1";
const rounds = 60;
const warmUp = 12;

const index = (value: number): Uint8Array => Uint8Array.of(value, 0, 0, 0);
/** What user space puts in: ports[0] = lan (1), ports[1] = wan (2). */
const ports: readonly MapEntry[] = [
  { key: index(0), value: index(1) },
  { key: index(1), value: index(2) },
];

function contentsOf(program: ProgramSpec): Record<string, readonly MapEntry[]> {
  return program.maps.some(({ name }) => name === "ports") ? { ports } : {};
}

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

function quantile(sorted: readonly number[], part: number): number {
  return sorted[Math.floor((sorted.length - 1) * part)] ?? 0;
}

/** Rounds over the trace; the first ones let V8 optimise and tables fill. */
function portable(program: ProgramSpec) {
  const loaded = loadPortable(program, {
    cpus: 1,
    contents: contentsOf(program),
  });
  const samples: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const before = loaded.spent;
    loaded.runBatches(packets, () => {});
    const { packets: count, ns } = loaded.spent;
    if (round >= warmUp)
      samples.push((ns - before.ns) / (count - before.packets));
  }
  const sorted = samples.sort((a, b) => a - b);
  return {
    nsPerPacket: round(quantile(sorted, 0.5)),
    range95: [round(quantile(sorted, 0.025)), round(quantile(sorted, 0.975))],
    samples: sorted.length,
  };
}

/** One packet of the trace, again and again. */
function inKernel(kernel: Kernel, program: ProgramSpec) {
  const loaded = kernel.load([program]);
  try {
    const [first] = packets;
    if (first === undefined) throw new Error("no packets");
    const { median, least, most } = measureTestRun(
      kernel,
      loaded.program(),
      first.data,
      { repeat: 400_000 },
    );
    return { nsPerPacket: median, range: [least, most] };
  } finally {
    loaded.close();
  }
}

function round(value: number): number {
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

const kernel = await open();
const rows = [];
for (const file of readdirSync(folder).filter((name) => name.endsWith(".o"))) {
  const bytes = readFileSync(join(folder, file));
  const program = programSpec(readObject(bytes, file));
  const engine = portable(program);
  const testRun =
    typeof kernel === "string" ? undefined : inKernel(kernel, program);
  rows.push({
    program: program.name,
    cores: 1,
    real: true,
    includes: "program",
    portable: engine,
    ...(testRun === undefined ? {} : { kernel: testRun }),
  });
  console.error(
    `  ${program.name.padEnd(16)} portable ${engine.nsPerPacket} ns, kernel ${testRun?.nsPerPacket ?? "–"} ns`,
  );
}
const overhead =
  typeof kernel === "string" ? undefined : measureOverhead(kernel);
if (typeof kernel !== "string") kernel.close();
console.log(
  JSON.stringify({
    schema: "divisi.bench-portable/1",
    machine: {
      cpu: cpus()[0]?.model ?? "unknown",
      cpus: cpus().length,
      node: process.version,
    },
    trace,
    portable:
      "one thread, wall time inside the compiled program and its helpers",
    kernel:
      typeof kernel === "string"
        ? `not measured: ${kernel}`
        : "BPF_PROG_TEST_RUN, one packet repeated, whole nanoseconds",
    ...(overhead === undefined ? {} : { overheadNs: overhead.median }),
    points: rows,
  }),
);
