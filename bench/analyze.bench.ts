/**
 * How long the state report takes, from decoded instructions on (lifting to SSA,
 * then the analysis): generated programs that parse a frame, then look up, branch
 * and count again and again, from 200 to 50,000 instructions. Each run is a fresh
 * process, so that the compiler's warm-up is in it, as it is for a user. CPU time
 * has the garbage collector's threads in it.
 *
 * Then `divisi analyze` as a whole process on every object of testdata/corpus.txt and
 * of nfs/c, each once (races included, no witness).
 *
 * Targets: at most 1 s for 2,000 instructions, near-linear up to 50,000; 95 % of the
 * real objects within 1 s.
 */
import { spawnSync } from "node:child_process";
import { readFileSync, readdirSync } from "node:fs";
import { cpus, loadavg } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { analyse } from "#analysis";
import { parseFunction, type MapSpec, type ProgramSpec } from "#isa";
import { readObject, understoodPrograms } from "#object";
import { corpusAbsence, corpusObjects } from "../test/support/corpus.ts";

const map: MapSpec = {
  name: "m",
  type: "hash",
  keySize: 8,
  valueSize: 8,
  maxEntries: 1024,
  flags: 0,
  section: ".maps",
  readOnly: false,
};

/** One look-up under one of two keys, a count, and a diamond behind it: 19 instructions. */
const step = (index: number): string => `
  r1 = *(u32 *)(r7 + ${26 + 4 * (index % 2)})
  r2 = *(u8 *)(r7 + ${14 + (index % 20)})
  if r2 == ${index % 251} goto other${index}
  r1 ^= ${index}
other${index}:
  *(u32 *)(r10 - 8) = r1
  *(u32 *)(r10 - 4) = ${index}
  r2 = r10
  r2 += -8
  r1 = map m ll
  call map_lookup_elem
  if r0 == 0 goto miss${index}
  r1 = *(u64 *)(r0 + 0)
  if r1 > ${index} goto big${index}
  r1 += 1
  *(u64 *)(r0 + 0) = r1
  goto miss${index}
big${index}:
  r8 += r1
miss${index}:
  r8 += 1`;

function generated(steps: number): ProgramSpec {
  const text = `
  r6 = r1
  r8 = 0
  r7 = *(u32 *)(r6 + 0)
  r3 = *(u32 *)(r6 + 4)
  r4 = r7
  r4 += 54
  if r4 > r3 goto out
  r4 = *(u16 *)(r7 + 12)
  if r4 != 8 goto out${Array.from({ length: steps }, (_, index) => step(index)).join("")}
out:
  r0 = 2
  exit`;
  return {
    file: "generated",
    name: "main",
    section: "xdp",
    type: "xdp",
    license: "GPL",
    functions: [parseFunction(text)],
    maps: [map],
  };
}

const runs = 5;
const load = Math.round((loadavg()[0] ?? 0) * 10) / 10;
interface Run {
  readonly instructions: number;
  readonly accesses: number;
  readonly wallMs: number;
  readonly cpuMs: number;
}

function once(instructions: number): Run {
  const spec = generated(Math.ceil(instructions / 18));
  const before = process.cpuUsage();
  const started = performance.now();
  const report = analyse(spec);
  const wallMs = performance.now() - started;
  const { user, system } = process.cpuUsage(before);
  const accesses = report.objects.reduce(
    (sum, object) => sum + object.accesses.length,
    0,
  );
  const count = report.instructions;
  return {
    instructions: count,
    accesses,
    wallMs,
    cpuMs: (user + system) / 1e3,
  };
}

function fresh(instructions: number): Run {
  const { stdout } = spawnSync(
    process.execPath,
    [fileURLToPath(import.meta.url), `${instructions}`],
    { encoding: "utf8" },
  );
  return JSON.parse(stdout) as Run;
}

function spread(values: readonly number[]) {
  const sorted = values.map(Math.round).sort((a, b) => a - b);
  const median = sorted[sorted.length >> 1] ?? 0;
  return { median, range: [sorted[0] ?? 0, sorted.at(-1) ?? 0] as const };
}

/** Every XDP and TC program of every object, by the command that a user has. */
function realObjects() {
  const root = join(import.meta.dirname, "../..");
  const nfs = readdirSync(join(root, "nfs/c"))
    .filter((name) => name.endsWith(".o"))
    .map((name) => ({ name, path: join(root, "nfs/c", name) }));
  const absence = corpusAbsence();
  if (absence !== undefined) console.error(`  no corpus: ${absence}`);
  const all = [...nfs, ...(absence === undefined ? corpusObjects() : [])];
  return all.flatMap(({ name, path }) =>
    understoodPrograms(readObject(readFileSync(path), name)).map((program) => {
      const started = performance.now();
      const { status } = spawnSync(
        process.execPath,
        [
          join(root, "dist/cli/main.js"),
          "analyze",
          path,
          "-q",
          "--entry",
          program.name,
        ],
        { encoding: "utf8" },
      );
      const wallMs = Math.round(performance.now() - started);
      return { name: `${name}:${program.name}`, wallMs, exit: status ?? -1 };
    }),
  );
}

const [, , only] = process.argv;
if (only !== undefined) console.log(JSON.stringify(once(Number(only))));
else {
  const points = [200, 2000, 10_000, 20_000, 50_000].map((size) => {
    const all = Array.from({ length: runs }, () => fresh(size));
    const [first] = all;
    if (first === undefined) throw new Error("no run");
    const { instructions, accesses } = first;
    const wall = spread(all.map(({ wallMs }) => wallMs));
    const cpu = spread(all.map(({ cpuMs }) => cpuMs));
    console.error(
      `  ${instructions} instructions: ${wall.median} ms (CPU ${cpu.median} ms), ${accesses} accesses`,
    );
    return {
      instructions,
      accesses,
      wallMs: wall.median,
      wallRange: wall.range,
      cpuMs: cpu.median,
      cpuRange: cpu.range,
      usPerInstruction:
        Math.round((1e4 * wall.median) / Math.max(1, instructions)) / 10,
    };
  });
  const objects = realObjects();
  const walls = objects.map(({ wallMs }) => wallMs).sort((a, b) => a - b);
  const at = (share: number) =>
    walls[Math.min(walls.length - 1, Math.floor(share * walls.length))] ?? 0;
  const failed = objects.filter(({ exit }) => exit !== 0);
  for (const { name, exit } of failed) console.error(`  ${name}: exit ${exit}`);
  const slowest = objects.toSorted((a, b) => b.wallMs - a.wallMs).slice(0, 5);
  console.error(
    `  ${objects.length} programs of real objects: median ${at(0.5)} ms, p95 ${at(0.95)} ms, most ${at(1)} ms (${slowest[0]?.name})`,
  );
  console.log(
    JSON.stringify({
      real: {
        programs: objects.length,
        includes: "whole process, wall time, once each",
        medianMs: at(0.5),
        p95Ms: at(0.95),
        mostMs: at(1),
        failed,
        slowest,
      },
      schema: "divisi.bench-analyze/1",
      machine: {
        cpu: cpus()[0]?.model ?? "unknown",
        cpus: cpus().length,
        node: process.version,
        loadAverage: load,
      },
      program:
        "generated: one hash map, a look-up and a diamond per 18 instructions",
      includes: "lift + analyse, cold process; no reading of the object file",
      cores: 1,
      runs,
      points,
    }),
  );
}
