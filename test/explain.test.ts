/**
 * What `split --explain` says where it refuses, to the letter: the accesses that meet,
 * which packets that ties together, and what to change. Written in C or in TypeScript,
 * a network function has the same strategies and refusals. `UPDATE=1` rewrites.
 */
import { deepEqual, equal, match, ok } from "node:assert/strict";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { divisi, root, temporaryFolder } from "./support/cli.ts";

const folder = temporaryFolder("explain");
const ports = ["--port", "lan=1", "--port", "wan=2"];

// prettier-ignore
const functions: readonly (readonly [string, readonly string[], readonly RegExp[]])[] = [
  ["dynamic-bridge", ports, [/R4-mac/, /eth\.src of one = eth\.dst of the other/]],
  ["load-balancer", ports, [/R4-iterate/, /flows {2}shard/, /walk over the map in user space/]],
  ["ctrnat", ports, [/R4-constant-key/, /R4-state-derived/, /adds to allocated\s+under 0/]],
  ["r3", [], [/R3-disjoint/, /equal ipv4\.src; and two packets with\s+equal ipv4\.dst/]],
  ["gcount", [], [/R4-constant-key/, /any two packets/, /sources {2}shard/]],
];

function explain(file: string, flags: readonly string[]): string {
  // prettier-ignore
  const run = divisi(["split", file, ...flags, "--cores", "4", "--no-fallback", "--explain", "-o", join(folder, "out")]);
  equal(run.status, 1, run.stdout + run.stderr);
  ok(!existsSync(join(folder, "out")), "nothing is written");
  for (const line of run.stdout.split("\n")) ok(line.length <= 80, line);
  return run.stdout;
}

interface SplitJson {
  readonly objects: readonly {
    readonly name: string;
    readonly strategy: string;
    readonly rule?: string;
    readonly fields?: unknown;
    readonly layout: string;
  }[];
  readonly refusals: readonly {
    readonly object: string;
    readonly strategy: string;
    readonly code: string;
  }[];
}

/** What is decided, and by which rules; places and order left out. */
function decided(file: string, flags: readonly string[]): readonly string[] {
  // prettier-ignore
  const run = divisi(["split", file, ...flags, "--cores", "4", "--no-fallback", "--json", "-o", join(folder, "out")]);
  equal(run.status, 1, run.stdout + run.stderr);
  const { objects, refusals } = JSON.parse(run.stdout) as SplitJson;
  return [
    ...objects.map(({ name, strategy, rule, fields, layout }) =>
      JSON.stringify([name, strategy, rule, fields, layout]),
    ),
    ...refusals.map(({ object, strategy, code }) =>
      [object, strategy, code.split("-")[0]].join(" "),
    ),
  ].sort();
}

for (const [name, flags, words] of functions) {
  test(`${name}: a refusal that can be acted on`, () => {
    const said = explain(join(root, `nfs/c/${name}.o`), flags);
    const golden = join(root, `testdata/explain/${name}.txt`);
    if (process.env["UPDATE"] === "1") writeFileSync(golden, said);
    equal(said, readFileSync(golden, "utf8"));
    match(said, /^no: /);
    for (const word of words) match(said, word);
  });
  test(`${name}: decided the same in TypeScript`, () => {
    deepEqual(
      decided(join(root, `nfs/ts/${name}.ts`), flags),
      decided(join(root, `nfs/c/${name}.o`), flags),
    );
  });
}
