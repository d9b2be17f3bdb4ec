/**
 * Locks in the kernel beside shared-nothing, at the same core counts.
 *
 *   sequential   the program as it is, on one core: what everything is compared with
 *   shared       the same, on cores whose packets have no key in common
 *   locked       guarded objects with their locks, packets as above
 *   contended    locked, and every core has all packets: values are fought for (a time only:
 *                what the plan shards is not locked)
 *
 * Only functions of which all that is written takes a kernel lock. Nanoseconds are of the
 * program alone per packet and core, net of an empty one on as many cores; `speedup` is
 * packets per second over those of the sequential program.
 */
import { readFileSync } from "node:fs";
import { cpus, loadavg, release } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { withKernelLocks } from "#codegen";
import {
  changeInterval,
  emptyProgram,
  measureInterleaved,
  median,
  openKernel,
  prepareSubject,
  type Kernel,
} from "#engine";
import type { PacketInput } from "#interp";
import { programSpec, readObject, type ObjectSpec } from "#object";
import { generate, parseGenerator } from "#traffic";

const seed = 1;
const samples = Number(process.env["SAMPLES"] ?? 10);
const folder = join(import.meta.dirname, "../../nfs/c");
const rounded = (value: number): number => Math.round(value * 100) / 100;

interface Case {
  readonly name: string;
  readonly guarded: readonly string[];
}

// prettier-ignore
const functions: readonly Case[] = [
  { name: "source-counter", guarded: ["sources"] },
  { name: "flow-counter",   guarded: ["flows"] },
  { name: "gcount",         guarded: ["total"] },
  { name: "r3",             guarded: ["sources"] },
  { name: "arr",            guarded: ["counts"] },
];

interface Variant {
  readonly way: "sequential" | "shared" | "locked" | "contended";
  readonly cores: number;
}

const variants: readonly Variant[] = [
  { way: "sequential", cores: 1 },
  { way: "locked", cores: 1 },
  { way: "shared", cores: 2 },
  { way: "locked", cores: 2 },
  { way: "contended", cores: 2 },
];

const trace: readonly PacketInput[] = Array.from(
  generate(parseGenerator("gen:uniform,packets=4096,flows=1024,seed=1")),
  ({ data, time }): PacketInput => ({
    data,
    time,
    ifindex: 1,
    rxQueue: 0,
    cpu: 0,
  }),
);

/** By source address: what the functions here are keyed by, or a part of it. */
function packetsFor({ way, cores }: Variant): readonly PacketInput[][] {
  return Array.from({ length: cores }, (_, core) =>
    trace
      .filter(
        ({ data }) => way === "contended" || (data[29] ?? 0) % cores === core,
      )
      .map((packet) => ({ ...packet, rxQueue: core, cpu: core })),
  );
}

function codeFor({ way }: Variant, { name, guarded }: Case): ObjectSpec {
  const file = `${name}.o`;
  const object = readObject(readFileSync(join(folder, file)), file);
  if (way === "sequential" || way === "shared") return object;
  const locked = withKernelLocks(object, guarded);
  if (locked.kind === "refused") throw new RangeError(name);
  return locked.code;
}

async function rowsOf(kernel: Kernel, each: Case) {
  const subjects = variants.flatMap((variant) => {
    const packets = packetsFor(variant);
    const code = codeFor(variant, each);
    return [
      prepareSubject(kernel, emptyProgram, { packets }),
      prepareSubject(kernel, programSpec(code), {
        packets,
        ...(code.btf === undefined ? {} : { btf: code.btf }),
      }),
    ];
  });
  try {
    const taken = await measureInterleaved(kernel, subjects, {
      samples,
      burst: 25,
    });
    const times = (at: number): readonly number[] =>
      taken[at]?.samples.map(({ nsPerPacket }) => nsPerPacket) ?? [];
    const net = (at: number): readonly number[] => {
      const empty = median(times(2 * at));
      return times(2 * at + 1).map((ns) => ns - empty);
    };
    const first = net(0);
    return variants.map(({ way, cores }, at) => {
      const own = net(at);
      // Times of a packet and core against one core's: cores work side by side.
      const change = changeInterval(own, first, { seed });
      const row = {
        function: each.name,
        guarded: each.guarded,
        way,
        cores,
        ns: rounded(median(own)),
        speedup: rounded((cores * median(first)) / median(own)),
        ci95: change.map((ratio) => rounded(cores * (1 + ratio))),
        samples: own.length,
      };
      console.error(
        `  ${each.name.padEnd(16)} ${way.padEnd(10)} ${cores}: ${row.ns} ns, ${row.speedup}x [${row.ci95.join("..")}]`,
      );
      return row;
    });
  } finally {
    for (const subject of subjects) subject.close();
  }
}

const kernel = await openKernel();
try {
  const rows: unknown[] = [];
  for (const each of functions) rows.push(...(await rowsOf(kernel, each)));
  console.log(
    JSON.stringify(
      {
        schema: "divisi.bench.kernel-locks/1",
        includes: "program",
        cpu: cpus()[0]?.model,
        kernel: release(),
        load: loadavg(),
        seed,
        rows,
      },
      null,
      2,
    ),
  );
} finally {
  kernel.close();
}
