/**
 * Keys that no NIC hashes, dispatched in software: the check of trial.ts, where the
 * emitted dispatcher says which core a packet goes to, in the interpreter and in the
 * portable engine. And where no owner can be found, that is said.
 */
import { deepEqual, equal, match, ok } from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import {
  analyseLoaded,
  check,
  choosePlan,
  dispatcherOf,
  generate,
  load,
  type CheckOptions,
} from "divisi";
import { readObject } from "#object";
import { nicProfile } from "#rss";
import { divisi, root, temporaryFolder } from "./support/cli.ts";
import { dispatchTraffic, type Wrapping } from "./support/dispatch-traffic.ts";

const seed = Number(process.env["DIVISI_SEED"] ?? 2);

function analysed(object: string) {
  const options = {
    file: object,
    set: [],
    ports: [],
    userWrites: [],
    kernelBtf: () => undefined,
  };
  const bytes = readFileSync(join(root, object));
  return analyseLoaded(load(bytes, options), options);
}

function checked(
  object: string,
  traffic: ReturnType<typeof dispatchTraffic>,
  more: Partial<CheckOptions> = {},
) {
  const subject = analysed(object);
  const artifact = generate(subject, nicProfile("generic"), {
    cores: 3,
    ports: subject.ports,
    seed,
    dispatch: "software",
  });
  equal(artifact.plan.dispatch.kind, "software", artifact.plan.fallback);
  const { plan } = artifact;
  const tested = check({
    sequential: subject.program,
    emitted: artifact.emitted,
    report: subject.report,
    strategies: new Map(
      plan.objects.map((part) => [part.object, part.strategy]),
    ),
    parts: plan.objects,
    ports: subject.ports,
    cores: plan.cores,
    setup: undefined,
    dispatcher: dispatcherOf(readObject(artifact.bytes, "core.o")),
    demand: { requirement: plan.requirement, mode: "index", constrained: [] },
    trace: traffic,
    seed,
    ...more,
  });
  return { tested, plan };
}

// prettier-ignore
const rows: readonly (readonly [string, Wrapping, string, string])[] = [
  ["mac-meter", "plain", "zipf,packets=3000,flows=100", "eth.src"],
  ["policer6", "ipv6", "zipf,packets=3000,flows=100", "ipv6.dst"],
  ["vlan-meter", "tagged", "zipf,packets=3000,flows=100", "vlan.id, vlan2.id"],
  ["gtp-meter", "gtp", "zipf,packets=3000,flows=100", "inner.ipv4.src"],
  ["vxlan-firewall", "vxlan", "bidirectional,packets=3000,flows=100,tcp=0.5", "inner.ipv4.src, inner.ipv4.dst, inner.l4.sport, inner.l4.dport on lan"],
];

for (const [name, kind, text, fields] of rows)
  for (const engine of ["wasm", "interp"] as const)
    test(`${name} by ${engine} (seed ${seed})`, () => {
      const { tested, plan } = checked(
        `testdata/dispatch/${name}.o`,
        dispatchTraffic(kind, `${text},seed=${seed}`),
        { engine },
      );
      deepEqual(tested.first, []);
      equal(tested.mismatches, 0);
      equal(tested.coresUsed, 3);
      ok(tested.cells.contested > 10, String(tested.cells.contested));
      deepEqual(tested.mutants.survivors, []);
      ok(
        plan.dispatch.kind === "software" &&
          plan.dispatch.text.includes(fields),
        JSON.stringify(plan.dispatch),
      );
    });

// prettier-ignore
const refused: readonly (readonly [string, string, RegExp])[] = [
  ["nfs/c/dynamic-bridge.o", "R3-disjoint", /eth\.src and under eth\.dst/],
  ["nfs/c/r3.o", "R3-disjoint", /ipv4\.src and under ipv4\.dst/],
  ["nfs/c/gcount.o", "R4-constant-key", /every packet uses the same cell/],
];

for (const [object, code, text] of refused)
  test(`${object}: no function of a packet names the owner`, () => {
    const { report, ports } = analysed(object);
    const plan = choosePlan(report, { dispatch: "software", cores: 2, ports });
    ok(plan.dispatch.kind !== "software");
    const said = plan.refusals.find(
      (one) => one.code === code && one.strategy === "shard",
    );
    match(said?.text ?? "", text);
  });

test("the certificate says what a loader fills in", () => {
  const out = join(temporaryFolder("dispatch-certificate"), "out");
  // prettier-ignore
  const run = divisi(["split", "testdata/dispatch/mac-meter.o", "--dispatch", "software", "--cores", "2", "--trace", "gen:uniform,packets=500", "-o", out, "--allow-untested"]);
  equal(run.status, 0, run.stderr);
  const { initialise } = JSON.parse(
    readFileSync(join(out, "certificate.json"), "utf8"),
  ) as { initialise: readonly string[] };
  deepEqual(initialise, ["divisi_cpus", "divisi_table", "ready"]);
});
