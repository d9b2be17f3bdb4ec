/**
 * Microseconds per instruction of translating eBPF to WebAssembly: the largest program of
 * the corpus's objects (testdata/corpus.txt) and a generated one, each in one process
 * from cold to warm. CPU time of all threads, so V8 compiling us is in it; V8 compiling
 * the module is not, and is given apart as wall time.
 */
import { readFileSync } from "node:fs";
import { cpus, loadavg } from "node:os";
import { Random } from "#base";
import { compile } from "#codegen";
import { parseFunctions, type ProgramSpec } from "#isa";
import { programSpec, readObject } from "#object";
import { corpusAbsence, corpusObjects } from "../test/support/corpus.ts";

const rounds = 30;

/** Branches, bounds checks, loads and arithmetic, about 16,000 instructions. */
function generated(): ProgramSpec {
  const random = new Random(1);
  const lines = ["r6 = *(u32 *)(r1 + 0)", "r7 = *(u32 *)(r1 + 4)", "r0 = 0"];
  for (let block = 0; block < 1600; block++)
    lines.push(
      "r2 = r6",
      `r2 += ${14 + random.below(64)}`,
      `if r2 > r7 goto b${block}`,
      `r3 = *(u8 *)(r6 + ${random.below(14)})`,
      "r0 *= 31",
      "r0 += r3",
      `*(u64 *)(r10 - ${8 + 8 * random.below(8)}) = r0`,
      `if r3 & ${1 << random.below(8)} goto b${Math.min(1599, block + random.below(4))}`,
      `r0 ^= ${random.below(1000)}`,
      `b${block}:`,
    );
  lines.push("exit");
  return {
    file: "generated",
    name: "generated",
    section: "xdp",
    type: "xdp",
    license: "GPL",
    functions: parseFunctions(lines.join("\n")),
    maps: [],
  };
}

function sizeOf({ functions }: ProgramSpec): number {
  return functions.reduce((sum, fn) => sum + fn.instructions.length, 0);
}

/** The largest program of the corpus, where that can be built. */
function largest(): ProgramSpec | undefined {
  if (corpusAbsence() !== undefined) return undefined;
  let found: ProgramSpec | undefined;
  for (const { path, name } of corpusObjects()) {
    const object = readObject(readFileSync(path), name);
    for (const { name: entry, type } of object.programs) {
      if (type === undefined) continue;
      const program = programSpec(object, { entry });
      if (sizeOf(program) > sizeOf(found ?? { ...program, functions: [] }))
        found = program;
    }
  }
  return found;
}

function measure(program: ProgramSpec) {
  const size = sizeOf(program);
  const samples: number[] = [];
  let firstWallUs = 0;
  let bytes: Uint8Array = new Uint8Array();
  for (let round = 0; round < rounds; round++) {
    const began = performance.now();
    const before = process.cpuUsage();
    ({ bytes } = compile(program, { cpus: 2 }));
    const { user, system } = process.cpuUsage(before);
    samples.push((user + system) / size);
    if (round === 0) firstWallUs = (1000 * (performance.now() - began)) / size;
  }
  const sorted = samples.toSorted((a, b) => a - b);
  const started = performance.now();
  const { WebAssembly: engine } = globalThis as unknown as {
    readonly WebAssembly: {
      readonly Module: new (bytes: Uint8Array) => object;
    };
  };
  const module = new engine.Module(bytes);
  const moduleMs = performance.now() - started;
  const row = {
    program: `${program.file}:${program.name}`,
    instructions: size,
    firstUs: round(samples[0] ?? 0),
    firstWallUs: round(firstWallUs),
    medianUs: round(sorted[rounds >> 1] ?? 0),
    leastUs: round(sorted[0] ?? 0),
    moduleBytes: bytes.length,
    moduleMs: module === undefined ? 0 : round(moduleMs),
  };
  console.error(
    `  ${row.program}: ${size} instructions, ${row.firstUs} µs each at first (${row.firstWallUs} of wall time), ${row.medianUs} then`,
  );
  return row;
}

function round(value: number): number {
  return Math.round(value * 100) / 100;
}

const real = largest();
const results = [...(real === undefined ? [] : [real]), generated()].map(
  measure,
);
console.log(
  JSON.stringify({
    bench: "compile",
    machine: cpus()[0]?.model ?? "unknown",
    cores: cpus().length,
    load: round(loadavg()[0] ?? 0),
    includes: "translation to WebAssembly, CPU time per instruction",
    rounds,
    results,
  }),
);
