/**
 * What software dispatch costs: live frames (the kernel makes them and acts on verdicts)
 * to a program that counts and drops, at the interface and behind a dispatcher and a
 * cpumap on another CPU. No network card, no veth: what is compared is the same work
 * with and without the way to the other CPU.
 *
 *   alone       million frames per second that the program drops where they come in
 *   dispatched  that it drops on the other CPU; frames that the queue has no room for
 *               are lost, and not counted
 *   cost        1 − dispatched / alone, of samples taken in turn, with a 90 % interval
 *
 * Where there is one CPU only, or frames cannot be made live, it says so and ends.
 */
import { readFileSync } from "node:fs";
import { cpus, loadavg, release } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { parseArgs } from "node:util";
import {
  analyseLoaded,
  dispatcherOf,
  generate,
  load,
  nicProfile,
} from "divisi";
import { dispatchCpus } from "#codegen";
import { dispatchContents } from "divisi";
import { loadFilled, median, openKernel, quantile } from "#engine";
import { parseFunctions, type MapSpec, type ProgramSpec } from "#isa";
import { readObject } from "#object";
import { buildFrame } from "#packet";

const { values } = parseArgs({
  options: {
    samples: { type: "string", default: "15" },
    frames: { type: "string", default: "400000" },
  },
});
const root = join(import.meta.dirname, "../..");
const frames = Number(values.frames);
const from = 0;
const to = 1;
/** As many as may wait: a burst of the generator fits. */
const queueSize = 2048;
const frame = buildFrame({
  ipv4: { src: "10.0.0.1", dst: "10.0.0.2" },
  udp: { sport: 1000, dport: 2000 },
  size: 64,
});

const seen: MapSpec = {
  name: "divisi_seen",
  type: "percpu_array",
  keySize: 4,
  valueSize: 8,
  maxEntries: 1,
  flags: 0,
  section: ".maps",
  readOnly: false,
};

/** The emitted worker with another body: it counts and drops. */
function counting(program: ProgramSpec): ProgramSpec {
  const functions = parseFunctions(`function ${program.name}
    *(u32 *)(r10 - 4) = 0
    r1 = map divisi_seen ll
    r2 = r10
    r2 += -4
    call map_lookup_elem
    if r0 == 0 goto out
    r1 = *(u64 *)(r0 + 0)
    r1 += 1
    *(u64 *)(r0 + 0) = r1
  out:
    r0 = 1
    exit`);
  return { ...program, functions, maps: [...program.maps, seen] };
}

const object = "testdata/dispatch/mac-meter.o";
const options = {
  file: object,
  set: [],
  ports: [{ name: "port0", ifindex: 1 }],
  userWrites: [],
  kernelBtf: () => undefined,
};
const source = readFileSync(join(root, object));
const analysed = analyseLoaded(load(source, options), options);
const artifact = generate(analysed, nicProfile("generic"), {
  cores: 2,
  ports: options.ports,
  dispatch: "software",
});
const emitted = readObject(artifact.bytes, "core.o");
const dispatcher = dispatcherOf(emitted);
if (dispatcher === undefined) throw new Error("no dispatcher");
const kernel = await openKernel();
const { [dispatchCpus]: _, ...filled } = dispatchContents(dispatcher, [to]);
const behind = loadFilled(kernel, {
  program: counting(artifact.emitted),
  ...(emitted.btf === undefined ? {} : { btf: emitted.btf }),
  contents: {},
  dispatcher: {
    program: dispatcher,
    cpumap: dispatchCpus,
    cpus: 2,
    queueSize,
    contents: filled,
  },
});
const plain = loadFilled(kernel, {
  program: counting({ ...analysed.program, maps: [] }),
  contents: {},
});

function countOf(loaded: typeof plain): number {
  const value = loaded.map(seen.name).lookup(new Uint8Array(4));
  if (value === undefined) return 0;
  const words = new BigUint64Array(value.slice().buffer);
  return words.reduce((sum, word) => sum + Number(word), 0);
}

/** Million frames per second that were dropped on `cpu`, and how many of those made. */
function sample(loaded: typeof plain, name: string): readonly [number, number] {
  const before = countOf(loaded);
  const ns = loaded.program(name).liveRun(frame, { frames, cpu: from });
  const counted = countOf(loaded) - before;
  // What still waits in the queue is dropped soon, and is of the next sample's past.
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 20);
  return [(1000 * counted) / ns, counted / frames];
}

const loadBefore = loadavg()[0] ?? 0;
const rows = Array.from({ length: Number(values.samples) }, () => {
  const [alone] = sample(plain, analysed.program.name);
  const [dispatched, share] = sample(behind, dispatcher.name);
  return { alone, dispatched, share };
}).slice(1);
behind.close();
plain.close();
kernel.close();
const hundredths = (value: number): number => Math.round(value * 100) / 100;
const of = (read: (row: (typeof rows)[number]) => number) => {
  const found = rows.map(read);
  return {
    median: hundredths(median(found)),
    interval: [quantile(found, 0.05), quantile(found, 0.95)].map(hundredths),
  };
};
const result = {
  schema: "divisi.bench-dispatch/1",
  date: new Date().toISOString().slice(0, 10),
  machine: {
    cpu: cpus()[0]?.model ?? "unknown",
    cpus: cpus().length,
    kernel: release(),
    node: process.version,
    loadAverage: [loadBefore, loadavg()[0] ?? 0].map(hundredths),
  },
  from,
  to,
  frames,
  samples: rows.length,
  alone: of(({ alone }) => alone),
  dispatched: of(({ dispatched }) => dispatched),
  processed: of(({ share }) => share),
  cost: of(({ alone, dispatched }) => 1 - dispatched / alone),
};
console.error(
  `  ${result.alone.median} million frames/s alone, ${result.dispatched.median} dispatched: costs ${Math.round(100 * result.cost.median)} % [${result.cost.interval.map((one) => Math.round(100 * one)).join("..")}]`,
);
console.log(JSON.stringify(result));
