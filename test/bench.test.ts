/**
 * `divisi bench` and `divisi compare` as a user sees them: words, shapes and exit
 * codes, on tiny budgets. No figure is tested.
 */
import { deepEqual, equal, match, ok } from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { haveBpf } from "#engine";
import { divisi, temporaryFolder } from "./support/cli.ts";

const folder = temporaryFolder("bench");
const inFolder = (name: string): string => join(folder, name);

interface Point {
  readonly engine: string;
  readonly strategy: string;
  readonly state: string;
  readonly cores: number;
  readonly real: boolean;
  readonly mpps: number;
  readonly nsPerPacket: number;
  readonly ci95: readonly number[];
  readonly includes: string;
  readonly placement: string;
  readonly samples: readonly number[];
  readonly load: readonly number[];
}

interface Result {
  readonly schema: string;
  readonly machine: Readonly<Record<string, unknown>>;
  readonly points: readonly Point[];
  readonly model: { readonly fits?: readonly { readonly cores: number[] }[] };
}

function bench(...words: readonly string[]): Result {
  const { status, stdout, stderr } = divisi(["bench", "--json", ...words]);
  equal(status, 0, stderr);
  return JSON.parse(stdout) as Result;
}

function expectPoint(point: Point): void {
  ok(point.mpps > 0 && point.nsPerPacket > 0);
  match(point.includes, /^(program(\+dispatch)?|path)$/);
  if (!point.real) {
    deepEqual(
      [point.placement, point.samples, point.ci95],
      ["modelled", [], []],
    );
    return;
  }
  equal(point.ci95.length, point.samples.length < 8 ? 0 : 2);
  const [low = 0, high = Infinity] = point.ci95;
  ok(low <= point.nsPerPacket && point.nsPerPacket <= high);
  ok(point.samples.length > 0);
  equal(point.load.length, point.cores);
  if (point.cores === 1) equal(point.placement, "single");
  else match(point.placement, /^(near|far|untagged)$/);
}

const tiny = ["--trace", "gen:zipf,packets=2k,flows=100", "--seconds", "0.2"];
const present = availableParallelism();

test("bench: points, machine, and the same in the file", () => {
  const out = inFolder("portable.json");
  const result = bench("nfs/c/source-counter.o", ...tiny, "--out", out);
  equal(result.schema, "divisi.bench/1");
  deepEqual(Object.keys(result.machine), [
    "cpu",
    "cpus",
    "virtual",
    "kernel",
    "node",
    "governor",
    "loadAverage",
  ]);
  deepEqual(
    result.points.map(({ engine, strategy, state, cores, real }) => [
      engine,
      strategy,
      state,
      cores,
      real,
    ]),
    [["wasm", "unsplit", "private", 1, true]],
  );
  result.points.forEach(expectPoint);
  deepEqual(JSON.parse(readFileSync(out, "utf8")), result);
});

test("bench: the words under the table, a busy machine, and no line too long", () => {
  const out = inFolder("words.json");
  const words = ["bench", "nfs/c/nop.o", ...tiny, "--fit", "--out", out];
  const run = divisi([...words, "--cores", `1,${present + 2}`]);
  equal(run.status, 0, run.stderr);
  const flat = run.stdout.replaceAll(/\n {2}(?=\S)/g, " ");
  ok(
    flat.includes(
      "\nnet: less an empty program's in the same loop; load: the largest part of the packets on one core; Mpps: 1000 / (part × ns/packet) of the core for which that product is largest\n",
    ),
    run.stdout,
  );
  match(flat, /wasm +\d+ +private +modelled +\S+ +± unknown +– +\S+ +–/);
  match(flat, /as many terms as points, so its error is unknown/);
  for (const line of run.stdout.split("\n")) ok(line.length <= 80, line);
  const { loadAverage, cpus } = (
    JSON.parse(readFileSync(out, "utf8")) as Result
  ).machine;
  equal(
    run.stderr.includes(
      `warning: the machine is busy (load ${String(loadAverage)} on ${String(cpus)} CPUs): figures may not repeat\n`,
    ),
    Number(loadAverage) > Number(cpus) / 2,
    run.stderr,
  );
  const quiet = divisi([...words, "--cores", "1", "-q"]);
  deepEqual([quiet.status, quiet.stderr], [0, ""]);
});

test("bench: whole runs of the portable engine", () => {
  const words = ["nfs/c/nop.o", ...tiny, "--path", "dispatch"];
  const { points } = bench(...words, "--cores", `${Math.min(2, present)}`);
  points.forEach(expectPoint);
  deepEqual(
    points.map(({ includes }) => includes),
    ["program+dispatch"],
  );
});

test("bench: the most that goes over veth without loss", async (t) => {
  const refusal = await haveBpf();
  if (refusal !== undefined) {
    t.skip(refusal.message);
    return;
  }
  const words = ["nfs/c/nop.o", "nfs/c/source-counter.o", ...tiny];
  const { points } = bench(...words, "--engine", "kernel", "--path", "veth");
  points.forEach(expectPoint);
  for (const { includes } of points) equal(includes, "path");
});

test("bench: both engines, several programs; what is not measured is modelled", async (t) => {
  const refusal = await haveBpf();
  if (refusal !== undefined) {
    t.skip(refusal.message);
    return;
  }
  const most = Math.min(2, present);
  const beyond = present + 2;
  const result = bench(
    "nfs/c/nop.o",
    "nfs/c/flow-counter.o",
    "--engine",
    "kernel",
    "--engine",
    "wasm",
    "--fit",
    "--cores",
    `1,${most},${beyond}`,
    ...tiny,
  );
  result.points.forEach(expectPoint);
  for (const engine of ["wasm", "kernel"])
    for (const cores of [1, most, beyond]) {
      const found = result.points.filter(
        (point) => point.engine === engine && point.cores === cores,
      );
      ok(found.length >= 2, `${engine} ${cores}: ${found.length} points`);
      for (const point of found) {
        equal(point.real, cores <= present);
        equal(point.state, engine === "wasm" ? "private" : "shared");
      }
    }
  equal(result.model.fits?.length, 4);
  deepEqual(result.model.fits?.[0]?.cores, [1, ...(most > 1 ? [most] : [])]);
});

test("bench: a split directory is measured as planned", async (t) => {
  const refusal = await haveBpf();
  if (refusal !== undefined) {
    t.skip(refusal.message);
    return;
  }
  const out = inFolder("out");
  const trace = "gen:zipf,packets=2k,flows=100";
  const split = divisi(
    ["split", "nfs/c/port-knock.o", "-o", out, "--cores", "2"].concat([
      "--trace",
      trace,
      "--allow-untested",
    ]),
  );
  equal(split.status, 0, split.stderr);
  const words = ["--engine", "kernel", "--seconds", "0.2"];
  const result = bench(out, ...words);
  result.points.forEach(expectPoint);
  deepEqual([...new Set(result.points.map((p) => p.strategy))], ["shard"]);
  const beyond = divisi(["bench", out, "--cores", "1,3", "--fit"]);
  if (present >= 3) equal(beyond.status, 2);
  else equal(beyond.status, 0);
});

test("bench: a plan's lock is measured with it, or not at all", () => {
  const out = inFolder("locked");
  const split = divisi(
    ["split", "nfs/c/r3.o", "-o", out, "--strategy", "lock"].concat([
      "--cores",
      "2",
      "--trace",
      "gen:zipf,packets=500,flows=50",
      "--allow-untested",
    ]),
  );
  equal(split.status, 0, split.stderr);
  const { status, stderr } = divisi(["bench", out, "--cores", "2"]);
  equal(status, 2, stderr);
  match(stderr, /has a lock around whole packets, and --path program measures/);
  if (present < 2) return;
  const words = ["--cores", "2", "--path", "dispatch", "--seconds", "0.1"];
  const result = bench(out, ...words);
  deepEqual(
    result.points.filter(({ real }) => real).map((p) => [p.strategy, p.state]),
    [["lock", "shared"]],
  );
});

test("bench: what is refused, in which words", () => {
  const program = "nfs/c/source-counter.o";
  const many = String(present + 1);
  // prettier-ignore
  const cases: readonly (readonly [readonly string[], number, RegExp])[] = [
    [[], 2, /DIR\|PROG/],
    [[program, "--cores", "0"], 2, /--cores takes numbers of cores from 1 to 256, e\.g\. 1,2,4; not 0/],
    [[program, "--cores", "1,x"], 2, /--cores takes numbers of cores from 1 to 256/],
    [[program, "--seconds", "no"], 2, /--seconds takes a number up to 3600; not no/],
    [[program, "--engine", "interp"], 2, /interp/],
    [[program, "--trace", "gen:coverage"], 2, /packets that cover branches are no traffic to measure/],
    [[program, "--cores", many, "--fit"], 2, /--fit needs a number of cores that this machine has/],
    [[program, "--cores", many], 4, new RegExp(`${many} cores cannot be measured on ${present} CPUs: they would take turns`)],
    ...(present < 2 ? [] : [[[program, "--cores", "2", "--state", "shared", "--path", "dispatch"], 2, /--path dispatch runs cores with private memory each/] as const]),
    [[program, "--path", "dispatch", "--engine", "kernel"], 2, /--path dispatch is not there on --engine kernel/],
    [[program, "--path", "veth"], 2, /--path veth is not there on --engine wasm/],
    [["no-such.o"], 3, /no such file/],
  ];
  for (const [words, status, says] of cases) {
    const run = divisi(["bench", ...words]);
    deepEqual([words, run.status], [words, status], run.stderr);
    match(run.stderr, says);
    equal(run.stdout, "");
  }
});

const machine = {
  cpu: "A",
  cpus: 2,
  virtual: true,
  kernel: "6.18",
  node: "v20",
  governor: "none",
  loadAverage: 0.1,
};

function point(more: object = {}): object {
  const samples = [100, 101, 99, 100, 102, 98, 100, 101];
  return {
    program: "nf",
    engine: "kernel",
    strategy: "shard",
    state: "shared",
    cores: 1,
    real: true,
    includes: "program",
    placement: "single",
    nsPerPacket: 100,
    samples,
    ...more,
  };
}

let written = 0;
function file(points: readonly object[], more: object = {}): string {
  const path = inFolder(`result-${written++}.json`);
  writeFileSync(
    path,
    JSON.stringify({
      schema: "divisi.bench/1",
      machine,
      trace: ["gen:zipf"],
      points,
      ...more,
    }),
  );
  return path;
}

/** Samples of a point that became slower by this factor. */
const times = (factor: number): readonly number[] =>
  [100, 101, 99, 100, 102, 98, 100, 101].map((ns) => ns * factor);

test("compare: the words", () => {
  const before = file([
    point(),
    point({ cores: 2, placement: "near" }),
    point({ cores: 2, placement: "far", samples: [200, 201, 202] }),
    point({ cores: 4, real: false, placement: "modelled", samples: [] }),
  ]);
  const after = file(
    [
      point({ samples: times(1.2) }),
      point({ cores: 2, placement: "near", samples: times(1) }),
      point({ program: "other" }),
    ],
    { machine: { ...machine, cpu: "B" }, trace: ["gen:uniform"] },
  );
  const run = divisi(["compare", before, after]);
  const name = (path: string): string => path.replace(folder, "D");
  equal(
    run.stdout.replaceAll(folder, "D").replaceAll(/\n {2}(?=\S)/g, " "),
    [
      "warning: different machines: cpu A against B",
      'warning: different traces: ["gen:zipf"] against ["gen:uniform"]',
      "nf kernel shard shared, 1 core, single",
      "      100.0 ->    120.0 ns    +20.0 %  [+18.2 .. +21.8]      worse",
      "nf kernel shard shared, 2 cores, near",
      "      100.0 ->    100.0 ns      0.0 %  [-1.5 .. +1.5]        same",
      `not compared: nf kernel shard shared, 2 cores, far (${name(before)}): ${name(after)} has it near only`,
      `not compared: other kernel shard shared, 1 core, single (${name(after)}): not in ${name(before)}`,
      "fix: measure with bench --seconds longer to meet both placements, or compare --placement any",
      "1 of 2 slower by more than 5 %",
      "",
    ].join("\n"),
  );
  for (const line of run.stdout.split("\n"))
    ok(line.length <= 80 || line.includes(folder), line);
  equal(run.status, 1);
});

test("compare: too few samples, a busy machine and --placement any, in words", () => {
  const busy = { machine: { ...machine, loadAverage: 5.5 } };
  const noisy = [100, 120, 90, 115, 95, 110, 102, 99];
  const before = file([
    point({ samples: noisy }),
    point({ cores: 2, placement: "near", samples: [100, 101, 102] }),
  ]);
  const after = file(
    [
      point({ samples: noisy.map((ns) => 1.3 * ns) }),
      point({ cores: 2, placement: "far", samples: [300, 301, 302] }),
    ],
    busy,
  );
  const run = divisi(["compare", "--placement", "any", before, after]);
  deepEqual(
    run.stdout
      .replaceAll(folder, "D")
      .replaceAll(/\n {2}(?=\S)/g, " ")
      .replaceAll(/result-\d+/g, "R")
      .split("\n"),
    [
      "warning: D/R.json was measured on a busy machine (load 5.5)",
      "nf kernel shard shared, 1 core, single",
      "      101.0 ->    131.3 ns    +30.0 %  [+3.3 .. +63.6]       unclear",
      "nf kernel shard shared, 2 cores, near against far",
      "      101.0 ->    301.0 ns   +198.0 %  –                     unclear",
      "no interval under 8 samples: bench --seconds longer gives more",
      "nothing is slower by more than 5 % for sure; 2 unclear",
      "",
    ],
  );
  equal(run.status, 0);
});

test("compare: what cannot be read, in which words", () => {
  const good = file([point()]);
  const few = file([point({ samples: [100, 101] })]);
  const foreign = inFolder("foreign.json");
  writeFileSync(foreign, '{"schema":"divisi.run/1"}');
  // prettier-ignore
  const cases: readonly (readonly [readonly string[], number, RegExp])[] = [
    [[good], 2, /B\.json/],
    [[good, good, "--threshold", "much"], 2, /--threshold takes a part, e\.g\. 5% or 0\.05; not much/],
    [[good, inFolder("none.json")], 3, /none\.json: no such file/],
    [[good, foreign], 3, /foreign\.json: schema divisi\.bench\/1 is expected, not "divisi\.run\/1"/],
    [[good, file([point({ placement: "near" })])], 3, /nothing can be compared: nf kernel shard shared, 1 core, single: \S+ has it near only measure with bench --seconds longer to meet both placements, or compare --placement any/],
    [[good, few], 3, new RegExp(`${few}: nothing can be compared: nf kernel shard shared, 1 core, single: it has 2 samples here, 3 are needed measure with bench --seconds longer`)],
    [[few, good], 3, new RegExp(`${few}: nothing can be compared: nf kernel shard shared, 1 core, single: it has 2 samples here, 3 are needed`)],
    [[good, good, "--placement", "near"], 2, /--placement takes same, any; not near/],
  ];
  for (const [words, status, says] of cases) {
    const run = divisi(["compare", ...words]);
    deepEqual([words, run.status], [words, status], run.stderr);
    match(run.stderr.replaceAll(/\s+/g, " "), says);
    equal(run.stdout, "");
  }
});
