/**
 * `--engine kernel` as a user types it: `run` and `check` go through the running kernel
 * packet by packet and say what the other engines say, what was rewritten, and what the
 * verifier says of the unmodified program.
 */
import { deepEqual, equal, match, ok } from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { UnsupportedError } from "#base";
import { haveBpf } from "#engine";
import { possibleCpus } from "#host";
import { divisi, root, temporaryFolder } from "./support/cli.ts";

const absence: UnsupportedError | undefined = await haveBpf();
const object = (name: string): string => join(root, "nfs/c", `${name}.o`);
const folder = temporaryFolder("kernel-engine");
const ports = ["--port", "lan=11", "--port", "wan=12"];

interface Ran {
  readonly verdicts: Readonly<Record<string, number>>;
  readonly stateDigest: string;
  readonly engine?: string;
  readonly includes: string;
  readonly cores: readonly object[];
  readonly rewrittenCalls?: readonly string[];
}

function run(words: readonly string[]): Ran {
  const { status, stdout, stderr } = divisi(["run", ...words, "--json"]);
  equal(status, 0, stdout + stderr);
  return JSON.parse(stdout) as Ran;
}

const skip = absence === undefined ? {} : { skip: absence.message };

test("run: three engines, one answer", skip, () => {
  const trace = ["--trace", "gen:bidirectional,packets=1500,flows=40"];
  const answers = ["wasm", "interp", "kernel"].map((engine) =>
    run([object("firewall"), ...ports, ...trace, "--engine", engine]),
  );
  const [first, , kernel] = answers;
  for (const { verdicts, stateDigest } of answers) {
    deepEqual(verdicts, first?.verdicts);
    equal(stateDigest, first?.stateDigest);
  }
  equal(kernel?.engine, "kernel");
  equal(kernel?.includes, "program+test run");
  const calls = kernel?.rewrittenCalls ?? [];
  ok(
    calls.some((call) =>
      /^ktime_get_ns at .*: answered by the run$/.test(call),
    ),
  );
  ok(calls.some((call) => /^redirect_map at .*: arguments noted$/.test(call)));
});

test("run: a frame that no test run takes", skip, () => {
  const trace = join(folder, "short.pcap");
  // prettier-ignore
  const made = divisi(["trace", "gen", "gen:uniform,packets=3,size=9000", "-o", trace]);
  equal(made.status, 0, made.stderr);
  const { status, stderr } = divisi([
    "run",
    object("nop"),
    ...ports,
    "--trace",
    trace,
    "--engine",
    "kernel",
  ]);
  equal(status, 4);
  match(stderr, /which no test run of the kernel takes/);
});

test("a split program: check and run in the kernel", skip, () => {
  const output = join(folder, "flows");
  // prettier-ignore
  const split = divisi(["split", object("flow-counter"), "--cores", "2", "--trace", "gen:uniform,packets=1000", "--allow-untested", "-o", output]);
  equal(split.status, 0, split.stdout + split.stderr);
  const check = divisi([
    "check",
    output,
    "--engine",
    "kernel",
    "--allow-untested",
    "--json",
  ]);
  equal(check.status, 0, check.stdout + check.stderr);
  const answer = JSON.parse(check.stdout) as {
    readonly equal: boolean;
    readonly verifier: string;
    readonly tested: { readonly engine: string; readonly coresUsed: number };
  };
  equal(answer.equal, true);
  equal(answer.tested.engine, "kernel");
  equal(answer.tested.coresUsed, 2);
  match(answer.verifier, /^accepted by Linux /);
  const [wasm, kernel] = ["wasm", "kernel"].map((engine) =>
    run([output, "--trace", "gen:uniform,packets=1000", "--engine", engine]),
  );
  deepEqual(kernel?.verdicts, wasm?.verdicts);
  equal(kernel?.stateDigest, wasm?.stateDigest);
  // One after the other: there is one time, and none per core.
  for (const core of kernel?.cores ?? [])
    deepEqual(Object.keys(core), ["packets"]);
  const words = ["--trace", "gen:uniform,packets=1000", "--engine", "kernel"];
  match(
    divisi(["run", output, ...words]).stdout,
    /\n {2}core 0 {5}\d+ packets\n {2}core 1 {5}\d+ packets\n {2}time {7}[\d.,]+ ms of test runs, one per packet, warm-up included; bench measures\n/,
  );
  match(
    divisi(["run", output, ...words.slice(0, 2)]).stdout,
    /\n {2}core 0 {5}\d+ packets, [\d.]+ ms\n {2}core 1 {5}\d+ packets, [\d.]+ ms\n {2}time {7}[\d.]+ ms in compiled code, warm-up included; bench measures\n/,
  );
});

test("per-CPU maps on more cores than there are: not comparable", skip, () => {
  const output = join(folder, "many");
  const cores = String(possibleCpus() + 2);
  // prettier-ignore
  const split = divisi(["split", object("ddos-mitigator"), "--cores", cores, "--trace", "gen:uniform,packets=1000", "--allow-untested", "-o", output]);
  equal(split.status, 0, split.stdout + split.stderr);
  const { status, stderr } = divisi(["run", output, "--engine", "kernel"]);
  equal(status, 4);
  match(
    stderr,
    /has per-CPU maps and packets on \d+ CPUs, here are \d+: not comparable/,
  );
});
