/**
 * Code of our own against clang's: lower(lift(x.o)) for every packet program of nfs/c and
 * of the corpus, in slots of eight bytes; and nanoseconds of a run of the programs of
 * nfs/c in the kernel, original and lowered in turn on one packet of each direction
 * (`includes: "program"`). Besides, CPU time of lifting and lowering.
 */
import { readFileSync, readdirSync } from "node:fs";
import { cpus, loadavg, release } from "node:os";
import { basename, join } from "node:path";
import { measureTestRun, openKernel } from "#engine";
import { totalSlots, type ProgramSpec } from "#isa";
import { programSpec, readObject, understoodPrograms } from "#object";
import { generate, parseGenerator } from "#traffic";
import { corpusAbsence, corpusObjects } from "../test/support/corpus.ts";
import { lowered } from "../test/support/lowered.ts";

const folder = join(import.meta.dirname, "../../nfs/c");
const suite = readdirSync(folder)
  .filter((name) => name.endsWith(".o"))
  .map((name) => join(folder, name));
const rounds = 9;
const repeat = 200_000;

const frames = Array.from(
  generate(parseGenerator("gen:bidirectional,packets=64,flows=8,seed=1")),
  ({ data }) => data,
).slice(0, 2);

function sizeOf({ functions }: ProgramSpec): number {
  return functions.reduce((sum, fn) => sum + totalSlots(fn.instructions), 0);
}

function round(value: number): number {
  return Math.round(value * 1000) / 1000;
}

interface Row {
  readonly program: string;
  readonly clang: number;
  readonly lowered: number;
  readonly ratio: number;
}

const rows: Row[] = [];
let milliseconds = 0;
const others =
  corpusAbsence() === undefined ? corpusObjects().map(({ path }) => path) : [];
for (const path of [...suite, ...others]) {
  const object = readObject(readFileSync(path), basename(path));
  for (const { name } of understoodPrograms(object)) {
    const program = programSpec(object, { entry: name });
    const before = process.cpuUsage();
    const code = lowered(program);
    const { user, system } = process.cpuUsage(before);
    milliseconds += (user + system) / 1000;
    const [clang, own] = [sizeOf(program), sizeOf(code)];
    const label = `${basename(path, ".o")}/${name}`;
    rows.push({
      program: label,
      clang,
      lowered: own,
      ratio: round(own / clang),
    });
  }
}
const [clang, own] = [
  rows.reduce((sum, row) => sum + row.clang, 0),
  rows.reduce((sum, row) => sum + row.lowered, 0),
];
console.error(
  `  ${rows.length} programs: ${own} slots from ${clang}, ${round(own / clang)}; lift and lower ${round((1000 * milliseconds) / clang)} ms of CPU time per 1000`,
);

const kernel = await openKernel();
const runs = suite.map((path) => {
  const program = programSpec(readObject(readFileSync(path), path));
  const subjects = [program, lowered(program)].map((spec) =>
    kernel.load([spec]),
  );
  const least = subjects.map(() => frames.map(() => Infinity));
  for (let count = 0; count < rounds; count++)
    for (const [which, loaded] of subjects.entries())
      for (const [at, frame] of frames.entries()) {
        const options = { repeat, samples: 1 };
        const { median } = measureTestRun(
          kernel,
          loaded.program(),
          frame,
          options,
        );
        const list = least[which];
        if (list !== undefined) list[at] = Math.min(list[at] ?? median, median);
      }
  for (const loaded of subjects) loaded.close();
  const [original = 0, ours = 0] = least.map((list) =>
    list.reduce((sum, ns) => sum + ns / list.length, 0),
  );
  const name = basename(path, ".o");
  const row = rows.find(({ program: label }) => label.startsWith(`${name}/`));
  console.error(
    `  ${name.padEnd(20)} ${row?.clang} -> ${row?.lowered} slots (${row?.ratio}), ${round(original)} -> ${round(ours)} ns (${round(ours / original)})`,
  );
  return {
    program: name,
    clangNs: round(original),
    loweredNs: round(ours),
    ratio: round(ours / original),
  };
});
kernel.close();

console.log(
  JSON.stringify({
    bench: "lower",
    machine: cpus()[0]?.model ?? "unknown",
    cores: cpus().length,
    kernel: release(),
    load: round(loadavg()[0] ?? 0),
    includes: "program",
    rounds,
    repeat,
    clang,
    lowered: own,
    ratio: round(own / clang),
    cpuMs: round(milliseconds),
    runs,
    programs: rows,
  }),
);
