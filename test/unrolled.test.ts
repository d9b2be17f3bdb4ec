/**
 * One verdict, however the compiler treats loops: network functions of nfs/c, compiled
 * without unrolling, and at a lower level of optimisation, come to the plan that the
 * committed objects come to.
 */
import { deepEqual, ok } from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { tmpdir } from "node:os";
import { test } from "node:test";
import { analyse, type StateReport } from "#analysis";
import { decide, inlineCalls, lift, loops } from "#ir";
import { programSpec, readObject } from "#object";
import { choosePlan } from "#strategy";
import { root } from "./support/cli.ts";
import { lanAndWan, noClang } from "./strategy-cases.ts";

const compiler = "clang-14";

/** Compiled again with loops left as they are written. */
function rolled(name: string, level: string): string {
  const folder = mkdtempSync(join(tmpdir(), "divisi-test-unrolled-"));
  process.on("exit", () => rmSync(folder, { recursive: true, force: true }));
  const source = readFileSync(join(root, `nfs/c/${name}.c`), "utf8");
  const text = source.replaceAll(
    /#pragma (clang loop )?unroll.*/g,
    "#pragma nounroll",
  );
  writeFileSync(join(folder, `${name}.c`), text);
  const object = join(folder, `${name}.o`);
  const asm = ["x86_64", "aarch64"].map((m) => `-I/usr/include/${m}-linux-gnu`);
  // prettier-ignore
  const done = spawnSync(compiler, [
    level, "-g", "-target", "bpf", "-mcpu=v3", "-fno-unroll-loops",
    `-I${join(root, "nfs/c")}`, ...asm, "-c", `${name}.c`, "-o", object,
  ], { encoding: "utf8", cwd: folder });
  ok(done.status === 0, done.stderr);
  return object;
}

function verdictOf(file: string): {
  readonly verdict: unknown;
  readonly loops: number;
} {
  const spec = programSpec(readObject(readFileSync(file), file), {});
  const report: StateReport = analyse(spec);
  const plan = choosePlan(report, {
    cores: 4,
    profile: "generic",
    ports: lanAndWan,
    samples: 5,
  });
  const whole = decide(inlineCalls(lift(spec), { budget: 100_000 })).program;
  const [entry] = whole.functions;
  return {
    verdict: {
      strategy: plan.strategy,
      grade: plan.grade,
      objects: plan.objects
        .map(({ object, strategy, rule, fields = [] }) =>
          [
            object,
            strategy,
            rule,
            ...fields.map(
              ({ port, fields }) => `${port}:${fields.toSorted().join()}`,
            ),
          ].join(" "),
        )
        .toSorted(),
      refusals: plan.refusals
        .map(({ object, code }) => `${object} ${code}`)
        .toSorted(),
    },
    loops: entry === undefined ? 0 : loops(entry).loops.length,
  };
}

// prettier-ignore
const cases: readonly (readonly [string, string])[] = [
  ["hhh", "-O1"], ["connection-limiter", "-O2"],
];

for (const [name, level] of cases)
  test(`${name} with ${level} and its loops`, { skip: noClang }, () => {
    const { verdict, loops: found } = verdictOf(rolled(name, level));
    ok(found > 0, "no loop is left: nothing was tried");
    deepEqual(verdict, verdictOf(join(root, `nfs/c/${name}.o`)).verdict);
  });
