/**
 * The main job on the network functions of nfs/c, as a user runs it; and wrong
 * artifacts, each of which `check` must refuse.
 */
import { deepEqual, doesNotMatch, equal, match, ok } from "node:assert/strict";
import { spawnSync } from "node:child_process";
import {
  cpSync,
  existsSync,
  mkdirSync,
  readFileSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import {
  programSpec,
  readObject,
  replaceFunctions,
  writeObject,
} from "#object";
import { negatedBranches } from "#proof";
import { applyScript, dpdkJson, undoScript, type NicSetup } from "#rss";
import { divisi, root, temporaryFolder } from "./support/cli.ts";

interface PlanJson {
  setup: NicSetup;
  rss: { ports: { name: string; key: string }[] };
  strategy: string;
  grade: string;
  objects: { name: string; strategy: string }[];
}
interface CertificateJson {
  tested: {
    packets: number;
    mismatches: number;
    strength: string;
    weaknesses: string[];
    coresUsed: number;
    verdicts: Record<string, number>;
    mutants: { killed: number; total: number };
  };
  verifier: string;
}

const folder = temporaryFolder("split");
const shortTrace = ["--trace", "gen:bidirectional,packets=20k"];
const json = <T>(...path: string[]): T =>
  JSON.parse(readFileSync(join(folder, ...path), "utf8")) as T;

function split(name: string, ...more: string[]): string {
  const directory = join(folder, name);
  if (!existsSync(directory)) {
    const run = divisi([
      "split",
      `nfs/c/${name}.o`,
      "--cores",
      "4",
      "-o",
      directory,
      ...more,
    ]);
    equal(run.status, 0, run.stdout + run.stderr);
  }
  return directory;
}

test("port-knock: strong, equal, loadable", () => {
  const directory = split("port-knock", "--trace", "gen:zipf");
  const { tested, verifier } = json<CertificateJson>(
    "port-knock",
    "certificate.json",
  );
  deepEqual(tested.weaknesses, []);
  equal(tested.strength, "strong");
  equal(tested.mismatches, 0);
  ok(tested.packets >= 200_000);
  ok((tested.verdicts["pass"] ?? 0) > 0, "OPEN was never reached");
  equal(tested.coresUsed, 4);
  match(verifier, /^accepted by Linux/);
  const pin = `/sys/fs/bpf/divisi-test-${process.pid}`;
  const load = spawnSync(
    "bpftool",
    ["prog", "load", join(directory, "core.o"), pin],
    { encoding: "utf8" },
  );
  equal(load.status, 0, load.stderr);
  spawnSync("rm", ["-f", pin]);
});

test("what split says of port-knock, to the letter", () => {
  // prettier-ignore
  const run = divisi(["split", join(root, "nfs/c/port-knock.o"), "--trace", "gen:zipf", "--cores", "4", "-o", "out"], { cwd: folder });
  equal(run.status, 0, run.stderr);
  const said = run.stdout.replace(
    /accepted by Linux [\d.]+/,
    "accepted by Linux X",
  );
  const golden = join(root, "testdata/golden/split-port-knock.txt");
  if (process.env["UPDATE"] === "1") writeFileSync(golden, said);
  equal(said, readFileSync(golden, "utf8"));
  const lines = said.trimEnd().split("\n");
  ok(lines.length <= 30 && lines.every((line) => line.length <= 80));
});

test("the same command gives the same bytes", () => {
  split("port-knock", "--trace", "gen:zipf");
  const again = join(folder, "again");
  mkdirSync(again);
  // prettier-ignore
  equal(divisi(["split", "nfs/c/port-knock.o", "--cores", "4", "--trace", "gen:zipf", "-o", join(again, "port-knock")]).status, 0);
  for (const file of ["core.o", "source.o", "nic/apply.sh", "nic/dpdk.json"])
    deepEqual(
      readFileSync(join(again, "port-knock", file)),
      readFileSync(join(folder, "port-knock", file)),
      file,
    );
});

// What each program becomes: the table of the sharding specification.
const verdicts: readonly (readonly [string, string, Record<string, string>])[] =
  [
    ["source-counter", "exact", { sources: "shard" }],
    ["flow-counter", "exact", { flows: "shard" }],
    ["policer", "exact", { buckets: "shard", ports: "copy" }],
    ["firewall", "exact", { flows: "shard", ports: "copy" }],
    ["nop", "exact", { ports: "copy" }],
    ["static-bridge", "exact", { stations: "copy", ports: "copy" }],
    ["ddos-mitigator", "merged", { sources: "shard", dropped: "merge" }],
  ];
for (const [name, grade, strategies] of verdicts)
  test(`${name}: grade ${grade}, 0 mismatches`, () => {
    split(name, "--allow-untested");
    const plan = json<PlanJson>(name, "plan.json");
    equal(plan.grade, grade);
    deepEqual(
      Object.fromEntries(plan.objects.map((o) => [o.name, o.strategy])),
      strategies,
    );
    const { tested } = json<CertificateJson>(name, "certificate.json");
    equal(tested.mismatches, 0);
    ok(tested.coresUsed > 1);
  });

test("a merged map that user space fills keeps its first contents", () => {
  const object = join(folder, "preloaded.o");
  // prettier-ignore
  const clang = spawnSync("clang", ["-O2", "-g", "-target", "bpf", "-mcpu=v3", "-D__x86_64__", "-I", join(root, "nfs/c"), "-I/usr/include/x86_64-linux-gnu", "-c", join(root, "testdata/strategy/preloaded.c"), "-o", object], { encoding: "utf8" });
  equal(clang.status, 0, clang.stderr);
  const directory = join(folder, "preloaded");
  // prettier-ignore
  const run = divisi(["split", object, "--cores", "4", "--port", "lan=1", "--port", "wan=2", "-o", directory, ...shortTrace]);
  equal(run.status, 0, run.stdout + run.stderr);
  const plan = json<PlanJson>("preloaded", "plan.json");
  deepEqual(
    plan.objects.map((o) => o.strategy),
    ["merge"],
  );
  const { tested } = json<CertificateJson>("preloaded", "certificate.json");
  equal(tested.mismatches, 0);
  ok((tested.verdicts["pass"] ?? 0) > 0 && (tested.verdicts["drop"] ?? 0) > 0);
});

/** A copy of a split directory with another NIC set-up, its scripts in step. */
function withSetup(
  name: string,
  label: string,
  change: (setup: NicSetup) => NicSetup,
): string {
  const copy = join(folder, `${name}-${label}`);
  cpSync(join(folder, name), copy, { recursive: true });
  const plan = json<PlanJson>(name, "plan.json");
  const setup = change(plan.setup);
  writeFileSync(join(copy, "plan.json"), JSON.stringify({ ...plan, setup }));
  writeFileSync(join(copy, "nic/apply.sh"), applyScript(setup));
  writeFileSync(join(copy, "nic/undo.sh"), undoScript(setup));
  writeFileSync(
    join(copy, "nic/dpdk.json"),
    `${JSON.stringify(dpdkJson(setup), null, 2)}\n`,
  );
  return copy;
}

function flip(key: string, bit: number): string {
  const at = 2 * (bit >>> 3);
  const byte =
    Number.parseInt(key.slice(at, at + 2), 16) ^ (0x80 >>> (bit & 7));
  return (
    key.slice(0, at) + byte.toString(16).padStart(2, "0") + key.slice(at + 2)
  );
}

function expectRefused(directory: string): void {
  const run = divisi(["check", directory, ...shortTrace]);
  equal(run.status, 1, run.stdout + run.stderr);
  match(run.stdout, /not equal: .*touched from/s);
}

test("check accepts what split wrote", () => {
  const directory = split("firewall");
  const run = divisi(["check", directory, ...shortTrace]);
  equal(run.status, 0, run.stdout + run.stderr);
  match(run.stdout, /^equal, grade exact/);
});

test("check refuses hash fields beyond the key", () => {
  split("port-knock", "--trace", "gen:zipf");
  const copy = withSetup("port-knock", "fields", (setup) => ({
    ...setup,
    ports: setup.ports.map((port) => ({
      ...port,
      // A key that was made to ignore all but the source does so no more.
      key: "6d5a56da255b0ec24167253d43a38fb0d0ca2bcbae7b30b477cb2da38030f20c6a42b73bbeac01fa",
    })),
  }));
  expectRefused(copy);
});

test("check refuses a field dropped on one port of a linked pair", () => {
  split("firewall");
  expectRefused(
    withSetup("firewall", "dropped", (setup) => ({
      ...setup,
      ports: setup.ports.map((port, index) =>
        index === 0
          ? { ...port, fields: { ...port.fields, tcp4: "sdf", udp4: "sdf" } }
          : port,
      ),
    })),
  );
});

test("check refuses a table of its own for one port", () => {
  split("firewall");
  expectRefused(
    withSetup("firewall", "table", (setup) => ({
      ...setup,
      ports: setup.ports.map((port, index) =>
        index === 1
          ? {
              ...port,
              table: {
                ...port.table,
                entries: port.table.entries.map(
                  (queue) => (queue + 1) % setup.cores,
                ),
              },
            }
          : port,
      ),
    })),
  );
});

test("check refuses one constrained key bit flipped, and takes a free one", () => {
  split("port-knock", "--trace", "gen:zipf");
  const plan = json<{
    rss: { ports: { constrained?: number[] }[] };
    steering?: { constrained: number[][] };
  }>("port-knock", "plan.json");
  const constrained = new Set(plan.steering?.constrained[0] ?? []);
  ok(constrained.size > 20, `${constrained.size} constrained bits`);
  const [first = 0] = constrained;
  const free = Array.from({ length: 63 }, (_, bit) => bit).find(
    (bit) => !constrained.has(bit),
  );
  ok(free !== undefined);
  const flipped = (bit: number) => (setup: NicSetup) => ({
    ...setup,
    ports: setup.ports.map((port) => ({ ...port, key: flip(port.key, bit) })),
  });
  expectRefused(withSetup("port-knock", "constrained", flipped(first)));
  const run = divisi([
    "check",
    withSetup("port-knock", "free", flipped(free)),
    ...shortTrace,
  ]);
  equal(run.status, 0, run.stdout + run.stderr);
});

test("check refuses a core.o with one branch the other way round", () => {
  const directory = split("firewall");
  const copy = join(folder, "negated");
  cpSync(directory, copy, { recursive: true });
  const object = readObject(
    new Uint8Array(readFileSync(join(directory, "core.o"))),
    "core.o",
  );
  const mutants = negatedBranches(
    programSpec(object),
    () => true,
    1,
    Number.POSITIVE_INFINITY,
  );
  ok(mutants.length > 10);
  // The test of the port: what comes from the LAN is taken for the WAN's.
  const mutant = mutants[Math.floor(mutants.length / 2)];
  writeFileSync(
    join(copy, "core.o"),
    writeObject(replaceFunctions(object, mutant?.program.functions ?? [])),
  );
  const run = divisi(["check", copy, ...shortTrace]);
  equal(run.status, 1, `${mutant?.name}\n${run.stdout}${run.stderr}`);
  match(
    run.stdout,
    /^no: not equal: .*\nchecked {3}\S+ packets \(20,000 of the trace, [\d,]+ covering, [\d,]+ answers;\n {10}seed 1\)\n {10}\S+ mismatches, 4 cores used\n/,
  );
  doesNotMatch(run.stdout, /strong/);
});

test("check refuses a script that does not say what the plan says", () => {
  split("port-knock", "--trace", "gen:zipf");
  const copy = join(folder, "script");
  cpSync(join(folder, "port-knock"), copy, { recursive: true });
  const script = join(copy, "nic/apply.sh");
  const key = json<PlanJson>("port-knock", "plan.json").setup.ports[0]?.key;
  const text = readFileSync(script, "utf8");
  const start = key?.slice(0, 2) ?? "";
  writeFileSync(script, text.replaceAll(`${start}:`, "00:"));
  ok(readFileSync(script, "utf8") !== text);
  const run = divisi(["check", copy, ...shortTrace]);
  equal(run.status, 1);
  match(run.stdout, /nic\/apply\.sh does not say what plan\.json says/);
  doesNotMatch(run.stdout, /strong/);
});

test("check names the file of the directory that is cut off", () => {
  const directory = split("port-knock", "--trace", "gen:zipf");
  const copy = join(folder, "cut");
  cpSync(directory, copy, { recursive: true });
  const core = join(copy, "core.o");
  const whole = readFileSync(core);
  const table = Number(whole.readBigUInt64LE(40));
  const headers = 64 * whole.readUInt16LE(60);
  writeFileSync(core, whole.subarray(0, 3000));
  const text = `the section header table (${headers} bytes) leaves the file's 3000 bytes: the file is cut off`;
  const plain = divisi(["check", copy, ...shortTrace]);
  equal(plain.status, 3);
  equal(plain.stderr, `divisi: ${core}, offset ${table}: ${text}\n`);
  const coded = divisi(["check", copy, ...shortTrace, "--json"]);
  deepEqual((JSON.parse(coded.stdout) as { error: object }).error, {
    code: "truncated",
    exit: 3,
    text,
    file: core,
    offset: table,
  });
});

test("a refused strategy is said once, with its line", () => {
  // prettier-ignore
  const run = divisi(["split", "nfs/c/port-knock.o", "-o", join(folder, "merged"), "--strategy", "sources=merge", ...shortTrace]);
  equal(run.status, 1, run.stderr);
  equal(
    run.stdout,
    "no: port-knock.c:70: sources: entries are created or replaced [R-old-value-used]\n  count in a second map that the program only adds to\n",
  );
});

test("run refuses a directory that changed, and runs one that did not", () => {
  const directory = split("firewall");
  const run = divisi(["run", directory, ...shortTrace, "--json"]);
  equal(run.status, 0, run.stderr);
  const value = JSON.parse(run.stdout) as {
    packets: number;
    cores: { packets: number }[];
    stateDigest: string;
  };
  equal(value.packets, 20_000);
  ok(value.cores.every(({ packets }) => packets > 0));
  const alone = divisi(["run", "nfs/c/firewall.o", ...shortTrace, "--json"]);
  equal(
    (JSON.parse(alone.stdout) as { stateDigest: string }).stateDigest,
    value.stateDigest,
    "state of the cores together is not the sequential state",
  );
  const copy = join(folder, "changed");
  cpSync(directory, copy, { recursive: true });
  const core = readFileSync(join(copy, "core.o"));
  core[core.length - 1] = (core.at(-1) ?? 0) ^ 1;
  writeFileSync(join(copy, "core.o"), core);
  const refused = divisi(["run", copy, ...shortTrace]);
  equal(refused.status, 3, refused.stdout);
  match(refused.stderr, /core\.o changed/);
});

test("an existing directory stays unless forced", () => {
  const directory = split("nop");
  const words = ["split", "nfs/c/nop.o", "-o", directory, "--cores", "2"];
  const kept = divisi(words);
  equal(kept.status, 2);
  match(kept.stderr, /exists\n +--force/);
  equal(divisi([...words, "--force", "--allow-untested"]).status, 0);
  const foreign = join(folder, "foreign");
  mkdirSync(foreign);
  writeFileSync(join(foreign, "precious"), "");
  const refused = divisi(["split", "nfs/c/nop.o", "-o", foreign, "--force"]);
  equal(refused.status, 2);
  ok(existsSync(join(foreign, "precious")));
});

test("what split says fits a narrow terminal", () => {
  // prettier-ignore
  const run = divisi(["split", "nfs/c/firewall.o", "--cores", "4", "-o", join(folder, "narrow"), ...shortTrace]);
  const lines = run.stdout.trimEnd().split("\n");
  ok(lines.length <= 30, `${lines.length} lines`);
  deepEqual(
    lines.filter((line) => line.length > 80),
    [],
  );
  ok(existsSync(join(root, "docs")));
});
