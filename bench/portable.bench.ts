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
 *
 * In the kernel each program gets a frame that takes its long way: of a known flow,
 * on the port that uses the state, which is the loopback device; `ports` leads back
 * to it, and the verdict is told but not acted on.
 */
import { readFileSync, readdirSync } from "node:fs";
import { cpus, loadavg, release } from "node:os";
import { join } from "node:path";
import {
  loadPortable,
  measureOverhead,
  measureTestRun,
  openKernel,
  type Kernel,
  type LoadedPrograms,
} from "#engine";
import { InputError, UnsupportedError } from "#base";
import type { MapEntry, PacketInput } from "#interp";
import type { ProgramSpec } from "#isa";
import { hasVariable, programSpec, readObject, setVariable } from "#object";
import { buildFrame, tcpFlags, type FrameSpec } from "#packet";
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

const tcp = {
  eth: { src: "02:00:00:00:00:01", dst: "02:00:00:00:00:02" },
  ipv4: { src: "10.0.0.1", dst: "192.0.2.1" },
  tcp: { sport: 40_000, dport: 443, flags: tcpFlags.ack },
  size: 64,
} satisfies FrameSpec;

interface Case {
  /** The frame and what of the program it meets, in words. */
  readonly says: string;
  readonly frame: FrameSpec;
  /** Which port the loopback device is; default: lan. */
  readonly port?: "lan" | "wan";
  readonly cells?: Readonly<Record<string, readonly MapEntry[]>>;
}

const plain: Case = { says: "TCP of a known flow", frame: tcp };
const cases: Readonly<Record<string, Case>> = {
  ddos_mitigator: {
    says: "TCP of a listed source",
    frame: tcp,
    cells: {
      sources: [{ key: Uint8Array.of(10, 0, 0, 1), value: new Uint8Array(8) }],
    },
  },
  nop: { says: "any TCP", frame: tcp },
  policer: {
    says: "TCP from the wan to one destination, its bucket soon empty",
    frame: tcp,
    port: "wan",
  },
  port_knock: {
    says: "TCP SYN to port 100 of a known source",
    frame: { ...tcp, tcp: { ...tcp.tcp, dport: 100, flags: tcpFlags.syn } },
  },
  static_bridge: {
    says: "TCP to a known station behind the wan",
    frame: tcp,
    cells: {
      stations: [
        { key: Uint8Array.of(2, 0, 0, 0, 0, 2, 0, 0), value: index(1) },
      ],
    },
  },
};

/** The loopback device: TEST_RUN's ingress, and where `ports` leads. */
const loopback = 1;

function fill(loaded: LoadedPrograms, { cells = {} }: Case): string {
  for (const [name, entries] of Object.entries(cells))
    for (const { key, value } of entries) loaded.map(name).update(key, value);
  if (!loaded.maps.has("ports")) return "none";
  try {
    for (const port of [0, 1])
      loaded.map("ports").update(index(port), index(loopback));
    return "filled with the loopback device";
  } catch (error) {
    if (error instanceof InputError) return `empty: ${error.message}`;
    throw error;
  }
}

const verdicts = ["ABORTED", "DROP", "PASS", "TX", "REDIRECT"];

/** One packet, again and again. */
function inKernel(kernel: Kernel, bytes: Uint8Array, file: string) {
  let object = readObject(bytes, file);
  const { name } = programSpec(object);
  const chosen = cases[name] ?? plain;
  for (const port of ["lan", "wan"]) {
    const value = port === (chosen.port ?? "lan") ? loopback : loopback + 1;
    if (hasVariable(object, `${port}_ifindex`))
      object = setVariable(object, `${port}_ifindex`, `${value}`);
  }
  const loaded = kernel.load([programSpec(object)]);
  try {
    const devices = fill(loaded, chosen);
    const program = loaded.program();
    const data = buildFrame(chosen.frame);
    // Once, so that the flow is known.
    const { verdict } = program.testRun(data, { repeat: 1 });
    const { median, least, most } = measureTestRun(kernel, program, data, {
      repeat: 400_000,
    });
    return {
      nsPerPacket: median,
      range: [least, most],
      frame: chosen.says,
      firstVerdict: verdicts[verdict] ?? `${verdict}`,
      devices,
    };
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
    typeof kernel === "string" ? undefined : inKernel(kernel, bytes, file);
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
      kernel: release(),
      loadAverage: round(loadavg()[0] ?? 0),
    },
    trace,
    portable:
      "one thread, wall time inside the compiled program and its helpers",
    kernel:
      typeof kernel === "string"
        ? `not measured: ${kernel}`
        : "BPF_PROG_TEST_RUN, one packet repeated 400,000 times on one flow, whole nanoseconds, the cost of a repeat (overheadNs) included; 5 samples",
    ...(overhead === undefined ? {} : { overheadNs: overhead.median }),
    points: rows,
  }),
);
