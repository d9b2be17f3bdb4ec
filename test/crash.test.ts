/**
 * An engine that breaks on a packet: exit 70, a report, and the packet as a capture.
 * A module that is loaded before the command breaks it: some call of a helper throws.
 */
import { equal, match, ok } from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { test } from "node:test";
import { pathToFileURL } from "node:url";
import { toHex } from "#base";
import { generate, parseGenerator, readCaptureBytes } from "#traffic";
import { divisi, temporaryFolder } from "./support/cli.ts";

const folder = temporaryFolder("crash");
const trace = "gen:uniform,packets=500,flows=500,seed=1";
const few = ["--trace", "gen:uniform,packets=50"];

/** The 100th helper call of each thread throws. */
const breaker = join(folder, "breaker.mjs");
writeFileSync(
  breaker,
  `const Real = WebAssembly.Instance;
let calls = 0;
const broken = (helper) => (...args) => {
  if (++calls === 100) throw new TypeError("broken on purpose");
  return helper(...args);
};
WebAssembly.Instance = function (module, imports) {
  const e = Object.fromEntries(
    Object.entries(imports.e).map(([name, value]) => [
      name,
      typeof value === "function" ? broken(value) : value,
    ]),
  );
  return new Real(module, { e });
};
`,
);
const env = { NODE_OPTIONS: `--import ${pathToFileURL(breaker).href}` };

function expectCrash(words: readonly string[]): void {
  const plain = divisi(words, { env });
  equal(plain.status, 70, plain.stderr);
  equal(plain.stdout, "");
  match(
    plain.stderr,
    /^divisi: a bug of ours: \S+: flow_counter: core \d died on packet \d+, at or behind .+: broken on purpose$/m,
  );
  const report = /^report: (.+)$/m.exec(plain.stderr)?.[1] ?? "";
  const capture = /^packet: (.+)$/m.exec(plain.stderr)?.[1] ?? "";
  match(readFileSync(report, "utf8"), /broken on purpose/);
  equal(dirname(capture), dirname(report));
  const number = /^divisi-crash-core\d-packet(\d+)\.pcap$/.exec(
    basename(capture),
  )?.[1];
  const [packet, ...rest] = readCaptureBytes(readFileSync(capture), capture);
  equal(rest.length, 0);
  const want = [...generate(parseGenerator(trace))][Number(number)];
  ok(want !== undefined, `packet ${number}`);
  equal(toHex(packet?.data ?? new Uint8Array()), toHex(want.data));
  const json = divisi([...words, "--json"], { env });
  equal(json.status, 70);
  const { error } = JSON.parse(json.stdout) as { error: { text: string } };
  match(error.text, /\npacket: .+\.pcap$/);
}

test("one core: the packet that broke the engine is written down", () => {
  expectCrash(["run", "nfs/c/flow-counter.o", "--trace", trace]);
});

test("several cores: the packet that a worker died on is written down", () => {
  const split = join(folder, "split");
  const words = [
    "split",
    "nfs/c/flow-counter.o",
    "-o",
    split,
    "--cores",
    "2",
    ...few,
  ];
  const made = divisi(words);
  equal(made.status, 0, made.stderr);
  expectCrash(["run", split, "--trace", trace]);
});
