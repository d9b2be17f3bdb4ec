/** `divisi doctor` as a user sees it. */
import { deepEqual, equal, match, ok } from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { divisi, root } from "./support/cli.ts";

interface Report {
  readonly schema: string;
  readonly ok: boolean;
  readonly checks: readonly {
    readonly name: string;
    readonly about: string;
    readonly ok: boolean;
    readonly detail: string;
    readonly fix?: string;
  }[];
}

test("doctor: every finding that is not ok has a fix, the exit code follows", () => {
  const run = divisi(["doctor", "--json"]);
  const report = JSON.parse(run.stdout) as Report;
  equal(report.schema, "divisi.doctor/1");
  ok(report.checks.length > 8);
  for (const check of report.checks)
    equal(check.fix === undefined, check.ok, check.name);
  const engine = report.checks.filter(({ about }) => about === "engine");
  equal(engine.length, 2);
  equal(run.status, engine.every((check) => check.ok) ? 0 : 1);
  for (const line of divisi(["doctor", "-v"]).stdout.split("\n"))
    ok(line.length <= 80, line);
});

test("doctor: an interface that does not exist", () => {
  const run = divisi(["doctor", "--iface", "lp"]);
  deepEqual(
    [run.status, run.stdout, run.stderr],
    [2, "", "divisi: there is no interface lp\n  did you mean lo?\n"],
  );
});

test("doctor: without capabilities, what is missing and exit 1", (t) => {
  if (process.getuid?.() !== 0) return void t.skip("not root");
  const run = spawnSync(
    "setpriv",
    [
      "--bounding-set=-all",
      "--inh-caps=-all",
      process.execPath,
      join(root, "dist/cli/main.js"),
      "doctor",
    ],
    { encoding: "utf8", cwd: "/" },
  );
  equal(run.status, 1, run.stderr);
  match(run.stdout, /no {2}privileges: missing: CAP_BPF, CAP_NET_ADMIN/);
  match(
    run.stdout,
    /no {2}kernel engine: bpf\(2\) is not allowed here \(EPERM\)\n {6}do: /,
  );
});
