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
  match(
    run.stdout,
    /\nkernel features: 2 of 2, \d\d not probed \(-v lists them\)\n/,
  );
});

test("doctor: in a network namespace whose /sys is of another one", (t) => {
  if (process.getuid?.() !== 0) return void t.skip("not root");
  const name = `dv${process.pid}`;
  const script = `ip link add ${name} type veth peer name ${name}p && exec "$@"`;
  const words = [
    process.execPath,
    join(root, "dist/cli/main.js"),
    "doctor",
    "--iface",
    name,
  ];
  const run = spawnSync(
    "unshare",
    ["--net", "sh", "-c", script, "sh", ...words],
    {
      encoding: "utf8",
    },
  );
  const text = run.stdout.replace(/\n {8}/g, " ");
  match(
    text,
    new RegExp(
      `no {2}${name}: sysfs: the /sys mounted here is of another network namespace: what only it tells \\(a veth's peer, queues that ethtool does not list\\) is not known\n`,
    ),
    run.stderr,
  );
  match(text, new RegExp(`ok {2}${name}: native XDP: veth`));
  match(text, /ok {2}jit: not known here\n/);
});
