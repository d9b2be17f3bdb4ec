/**
 * Sixteen bugs of published tools for parallel network functions, each with where it is
 * put in and seen. Some are put in here; for the others the table names the test that
 * does it, and that test must exist.
 *
 * Source: the code of Maestro (NSDI'24) and of its boilerplate, as published.
 */
import { deepEqual, equal, ok } from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { capacitiesOf } from "#codegen";
import type { NicSetup } from "#rss";
import type { Artifact } from "divisi";
import { createState, IrMachine } from "#interp";
import { deviceContents } from "#proof";
import { root } from "./support/cli.ts";
import { differences } from "./support/nf-agreement.ts";
import { portable } from "./support/nf-machines.ts";
import { caseOf, mixOf } from "./support/nf-mixes.ts";
import { compileText } from "./support/nf-programs.ts";
import { objectOfTs, programOf } from "./support/nf-suite.ts";
import { nfTraffic } from "./support/nf-traffic.ts";
import {
  artifactOf,
  planCell,
  planTexts,
  subjectOf,
  type Cell,
  type MatrixSubject,
} from "./support/matrix.ts";

const seed = Number(process.env["DIVISI_SEED"] ?? 1);

type Row = readonly [bug: string, file: string, title: string];

// prettier-ignore
const bugs: readonly (readonly Row[])[] = [
  [["tables balanced per port: replies reach the wrong core", "sixteen-bugs", "1: a table of its own for one port"],
   ["", "balance", "firewall: one table for both ports, balanced for the trace"]],
  [["the verdict of the speculative run is used", "guarded-bugs", "a writer's verdict is that of its last run"]],
  [["an entry that another core refreshed is erased", "guarded-bugs", "an entry that any core keeps alive is not given away"]],
  [["an expired entry hits on other cores", "guarded-bugs", "what expired is a miss on every core"]],
  [["constant keys are ignored", "sixteen-bugs", "5: counters under a constant key"]],
  [["pairs of one path are skipped", "sixteen-bugs", "6: an array on a single path"]],
  [["a set is not emptied when its index changes hands", "nfs-limits", "port-scan-detector: a full table passes, an index that changes hands is empty"],
   ["", "sixteen-bugs", "a set is found by another number than its index"]],
  [["rows of a sketch share cells", "nfs-limits", "connection-limiter: four rows, each its own cells"],
   ["", "sixteen-bugs", "rows of a sketch share their cells"]],
  [["a station that moves is not learned anew", "nfs-suite", "dynamic-bridge: learn_moves"],
   ["", "sixteen-bugs", "a station that moves stays where it was"]],
  [["an expiry in whole seconds is 0: nothing is policed", "nfs-c-semantics", "policer: the bucket, to the byte and the nanosecond"]],
  [["the expiry that is built in is not the one of the source", "nfs-c-semantics", "firewall: answers only to what the LAN began, until it expires"],
   ["", "sixteen-bugs", "an expiry of 123 microseconds is built in"]],
  [["frames leave by 1 - input, whatever the verdict says", "nfs-suite", "dynamic-bridge: learns, floods, filters, forgets"],
   ["", "sixteen-bugs", "12: of three ports the one that the verdict names"]],
  [["capacities are rounded up", "sixteen-bugs", "13: shares of a capacity sum to it"]],
  [["the program and the NIC parse differently", "nfs-c-semantics", "port-knock: options move the ports; fragments, UDP and short frames drop"],
   ["", "sixteen-bugs", "14: a table that hashes ports of fragments"]],
  [["a key collapses to few cores", "key-quality", "every network function that a NIC can shard"],
   ["", "sixteen-bugs", "15: a key that sends everything to one entry"]],
  [["a failure exits with 0", "cli-failure", "flags of every command alone: a command is missing, as JSON too"]],
];

test("each of the sixteen has a test", () => {
  equal(bugs.length, 16);
  for (const rows of bugs)
    for (const [, file, title] of rows) {
      const text = readFileSync(join(root, `test/${file}.test.ts`), "utf8");
      ok(text.includes(title), `${file}: ${title}`);
    }
});

const subject = (name: string): Promise<MatrixSubject> =>
  subjectOf(name, "C", "roomy", {
    seed,
    packets: 400,
    search: 0,
    kinds: ["zipf", "bidirectional"],
  });

const run = (of: MatrixSubject, artifact: Artifact): Cell =>
  planCell(of, artifact, { seed, mutants: 0, strategy: "plan", cores: 4 });

/** The right settings pass, the wrong ones are seen. */
function expectSeen(
  of: MatrixSubject,
  wrong: (setup: NicSetup) => NicSetup,
): void {
  const artifact = artifactOf(of, 4);
  const { setup } = artifact;
  ok(setup !== undefined);
  const right = run(of, artifact);
  deepEqual(right.first, []);
  ok((right.tested?.coresUsed ?? 0) > 1);
  ok(run(of, { ...artifact, setup: wrong(setup) }).mismatches > 0);
}

const withPort = (
  setup: NicSetup,
  index: number,
  change: (port: NicSetup["ports"][number]) => NicSetup["ports"][number],
): NicSetup => ({
  ...setup,
  ports: setup.ports.map((port, at) => (at === index ? change(port) : port)),
});

for (const name of ["firewall", "nat"])
  test(`1: a table of its own for one port, ${name} (seed ${seed})`, async () => {
    expectSeen(await subject(name), (setup) =>
      withPort(setup, 1, (port) => ({
        ...port,
        table: {
          ...port.table,
          entries: port.table.entries.map((queue) => (queue + 1) % 4),
        },
      })),
    );
  });

// prettier-ignore
const constant: readonly (readonly [string, string])[] = [["gcount", "total"], ["ctrnat", "allocated"]];

test("5: counters under a constant key are never sharded", async () => {
  for (const [name, object] of constant) {
    const { plan } = artifactOf(await subject(name), 4);
    ok(
      plan.refusals.some(
        (refusal) =>
          refusal.object === object && refusal.code === "R4-constant-key",
      ),
      name,
    );
    ok(!(planTexts(plan)[object] ?? "").startsWith("shard"), name);
  }
});

test(`6: an array on a single path (seed ${seed})`, async () => {
  const of = await subject("arr");
  const artifact = artifactOf(of, 4);
  ok(artifact.plan.requirement.conjuncts.length > 0);
  // As if nothing tied the packets together.
  const { setup, ...without } = artifact;
  equal(setup === undefined, false);
  deepEqual(run(of, artifact).first, []);
  ok(run(of, { ...without, setup: undefined }).mismatches > 0);
});

test("13: shares of a capacity sum to it, and differ by one at most", () => {
  for (const cores of [1, 2, 3, 8, 10, 16])
    for (const capacity of [0, 7, 97, 65_536]) {
      const shares = capacitiesOf(capacity, cores);
      equal(shares.length, cores);
      equal(
        shares.reduce((sum, share) => sum + share, 0),
        capacity,
      );
      ok(Math.max(...shares) - Math.min(...shares) <= 1);
    }
});

test(`14: a table that hashes ports of fragments, or none of TCP (seed ${seed})`, async () => {
  const of = await subject("policer");
  expectSeen(of, (setup) => ({
    ...setup,
    ports: setup.ports.map((port) => ({
      ...port,
      fields: { ...port.fields, tcp4: "s", udp4: "s" },
    })),
  }));
});

test(`15: a key that sends everything to one entry uses one core (seed ${seed})`, async () => {
  const of = await subject("policer");
  const artifact = artifactOf(of, 4);
  const { setup } = artifact;
  ok(setup !== undefined);
  const zero = {
    ...setup,
    ports: setup.ports.map((port) => ({
      ...port,
      key: "00".repeat(port.key.length / 2),
    })),
  };
  const { tested } = run(of, { ...artifact, setup: zero });
  equal(tested?.mismatches, 0);
  equal(tested.coresUsed, 1);
  ok(tested.weaknesses.includes("only one core was used"));
});

// A change of a source, and the number of the setting (nf-mixes.ts) that shows it.
// prettier-ignore
const wrong: readonly (readonly [what: string, name: string, variant: number, from: string, to: string])[] = [
  ["a set is found by another number than its index", "port-scan-detector", 0, "touched.at(sources.indexOf(source))", "touched.at(max(sources.indexOf(source), 1) - 1)"],
  ["rows of a sketch share their cells", "connection-limiter", 0, "sketch.at(row, pair)", "sketch.at(0, pair)"],
  ["a station that moves stays where it was", "dynamic-bridge", 1, "if (ctx.config.learn_moves) source.port = ctx.port;", ""],
  ["an expiry of 123 microseconds is built in", "firewall", 0, "expiry: u64(100_000_000_000n)", "expiry: u64(123_000n)"],
];

for (const [what, name, at, from, to] of wrong)
  test(`${name}: ${what} (seed ${seed})`, async () => {
    const known = caseOf(name);
    const variant = known.variants[at];
    ok(variant !== undefined);
    const contents = variant.contents ?? {};
    const packets = nfTraffic(mixOf(known, variant), { seed, count: 4000 });
    const objectIs = async (change: (text: string) => string) =>
      (await objectOfTs(name, variant, change)).program;
    const want = portable("C", programOf(name, variant), contents).run(packets);
    const right = await objectIs((text) => text);
    equal(
      differences(want, portable("right", right, contents).run(packets)),
      0,
    );
    const changed = await objectIs((text) => {
      ok(text.includes(from), `${name}.ts has no ${from}`);
      return text.replaceAll(from, to);
    });
    const have = portable("wrong", changed, contents).run(packets);
    ok(differences(want, have) > 0);
  });

const ring = (target: string): string => `import { nf, out } from "divisi/nf";
export default nf({
  name: "ring",
  ports: ["first", "second", "third"],
  handle(_pkt, ctx) {
    return out(${target});
  },
});
`;

/** Where frames of the three ports go. */
async function targets(target: string): Promise<string> {
  const { lowered } = await compileText(ring(target));
  const { program } = lowered;
  const contents = deviceContents(program, [1, 2, 3]);
  const machine = new IrMachine(
    program,
    createState(program.maps, { contents }),
  );
  return [1, 2, 3]
    .map((ifindex) => {
      const input = { ifindex, rxQueue: 0, cpu: 0, time: 0n };
      const { redirect } = machine.run({ ...input, data: new Uint8Array(64) });
      return redirect?.key ?? "nowhere";
    })
    .join();
}

test("12: of three ports the one that the verdict names", async () => {
  equal(await targets("ctx.port === 2 ? 0 : ctx.port + 1"), "1,2,0");
  // The other one of two, as if there were no third.
  equal(await targets("ctx.port === 0 ? 1 : 0"), "1,0,0");
});
