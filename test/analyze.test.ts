/**
 * `divisi analyze --json` on the network functions of nfs/c: the fields that the
 * sharding specification's table names, port by port.
 */
import { deepEqual, equal, match, ok } from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { parseFrame, readField } from "#packet";
import { readCaptureBytes } from "#traffic";
import { divisi, root, temporaryFolder } from "./support/cli.ts";

interface Analyze {
  schema: string;
  program: { name: string; type: string; insns: number; maps: number };
  objects: {
    name: string;
    access: string;
    strategies: {
      name: string;
      verdict: string;
      rule?: string;
      fields?: { port: string; fields: string[] }[];
      reasons: { code: string; text: string; edit?: string }[];
    }[];
  }[];
  races: { object: string; kind: string }[];
  ms: number;
}

function analyze(name: string, ...more: string[]): Analyze {
  const run = divisi(["analyze", `nfs/c/${name}.o`, "--json", ...more]);
  equal(run.status, 0, run.stderr);
  equal(run.stderr, "");
  return JSON.parse(run.stdout) as Analyze;
}

/** Object → port → fields that decide the core; `copy`/`merge` where nothing ties packets. */
function verdictsOf(value: Analyze): Record<string, unknown> {
  return Object.fromEntries(
    value.objects.map(({ name, strategies }) => {
      // A guard fits anything; it is told beside.
      const yes = strategies.filter(
        ({ name, verdict }) =>
          verdict === "yes" && name !== "lock" && name !== "transaction",
      );
      const shard = yes.find((strategy) => strategy.name === "shard");
      return [
        name,
        shard === undefined || yes.some((strategy) => strategy.name === "copy")
          ? yes.map((strategy) => strategy.name).join(" ")
          : Object.fromEntries(
              (shard.fields ?? []).map(({ port, fields }) => [
                port,
                fields.join(" "),
              ]),
            ),
      ];
    }),
  );
}

const fourTuple = "ipv4.src ipv4.dst l4.sport l4.dport";
const swapped = "ipv4.dst ipv4.src l4.dport l4.sport";

// prettier-ignore
const table: readonly (readonly [string, Record<string, unknown>])[] = [
  ["policer", { buckets: { wan: "ipv4.dst" }, ports: "copy" }],
  ["firewall", { flows: { lan: fourTuple, wan: swapped }, ports: "copy" }],
  ["port-knock", { sources: { port0: "ipv4.src" } }],
  ["ddos-mitigator", { sources: { port0: "ipv4.src" }, dropped: "merge" }],
  ["flow-counter", { flows: { port0: fourTuple } }],
  ["source-counter", { sources: { port0: "ipv4.src" } }],
  ["nop", { ports: "copy" }],
  ["static-bridge", { stations: "copy", ports: "copy" }],
  ["heavy-hitter", { flows: { port0: fourTuple } }],
  ["token-bucket", { flows: { port0: fourTuple } }],
  ["ids", { signatures: "copy", matches: "merge" }],
  ["arr", { counts: { port0: "l4.dport[8:16]" } }],
  ["r3", { sources: { port0: "ipv4.src" }, destinations: { port0: "ipv4.dst" } }],
  // A global counter whose old value is used: nothing fits it.
  ["gcount", { sources: { port0: "ipv4.src" }, total: "" }],
  ["ctrnat", { flows: { lan: fourTuple }, allocated: "", tuples: "", ports: "copy" }],
];

for (const [name, want] of table)
  test(`analyze ${name}`, () => {
    const value = analyze(name);
    equal(value.schema, "divisi.analyze/1");
    equal(value.program.type, "xdp");
    deepEqual(verdictsOf(value), want);
  });

test("a port bound by hand changes the name and the program's variable", () => {
  const value = analyze("policer", "--port", "lan=7", "--port", "wan=9");
  deepEqual(verdictsOf(value)["buckets"], { wan: "ipv4.dst" });
  const { objects } = value;
  match(JSON.stringify(objects), /ifindex 9/);
});

test("a refusal names code, line and edit", () => {
  const { objects } = analyze("ddos-mitigator");
  const shard = objects
    .find(({ name }) => name === "dropped")
    ?.strategies.find(({ name }) => name === "shard");
  equal(shard?.verdict, "no");
  equal(shard.reasons[0]?.code, "R4-constant-key");
  ok((shard.reasons[0].edit ?? "").length > 10);
});

test("races of the sequential program, and the exit code for continuous integration", () => {
  const { races } = analyze("source-counter");
  ok(races.some(({ kind }) => kind === "lost-update"));
  const gate = divisi([
    "analyze",
    "nfs/c/source-counter.o",
    "--fail-on",
    "race",
  ]);
  equal(gate.status, 1);
  match(gate.stdout, /lost-update/);
  equal(divisi(["analyze", "nfs/c/nop.o", "--fail-on", "race"]).status, 0);
});

test("races as SARIF, and two packets that meet in a racing cell", () => {
  const folder = temporaryFolder("witness");
  const file = join(folder, "witness.pcapng");
  // prettier-ignore
  const run = divisi(["analyze", "nfs/c/source-counter.o", "--witness", file, "--json"]);
  equal(run.status, 0, run.stderr);
  const { witnesses } = JSON.parse(run.stdout) as {
    witnesses: { object: string; packets: number[] }[];
  };
  deepEqual(
    witnesses.map(({ object, packets }) => [object, packets]),
    [
      ["sources", [1, 2]],
      ["sources", [3, 4]],
    ],
  );
  const packets = [
    ...readCaptureBytes(new Uint8Array(readFileSync(file)), file),
  ].map(({ data }) => readField(parseFrame(data), "ipv4.src"));
  equal(packets.length, 4);
  equal(packets[0], packets[1]);
  const sarif = divisi(["analyze", "nfs/c/source-counter.o", "--sarif"]);
  const value = JSON.parse(sarif.stdout) as {
    version: string;
    runs: { results: { ruleId: string; locations: unknown[] }[] }[];
  };
  equal(value.version, "2.1.0");
  deepEqual(
    value.runs[0]?.results.map(({ ruleId }) => ruleId),
    ["lost-update", "check-then-act"],
  );
});

const hasClang = spawnSync("clang", ["--version"]).status === 0;

test(
  "a map that nothing writes is not called added to",
  { skip: hasClang ? false : "needs clang" },
  () => {
    const folder = temporaryFolder("analyze-unwritten");
    const [source, object] = ["c", "o"].map((end) => join(folder, `b.${end}`));
    writeFileSync(
      source ?? "",
      `#include "rejected.h"
MAP(blocked, HASH, 256, __u8);
SEC("xdp") int entry(struct xdp_md *ctx)
{
	__u32 key = ctx->ingress_ifindex;
	return bpf_map_lookup_elem(&blocked, &key) ? XDP_DROP : XDP_PASS;
}
`,
    );
    // prettier-ignore
    const built = spawnSync("clang", ["-O2", "-g", "-target", "bpf", `-I${join(root, "testdata/rejected")}`, "-c", source ?? "", "-o", object ?? ""]);
    equal(built.status, 0, String(built.stderr));
    const { stdout } = divisi(["analyze", object ?? ""]);
    rmSync(folder, { recursive: true });
    match(
      stdout,
      /^ {2}merge {4}yes: never written: a copy per core \(percpu_hash\) would do$/m,
    );
  },
);
