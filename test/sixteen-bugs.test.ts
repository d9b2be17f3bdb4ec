/**
 * Sixteen bugs of published tools for parallel network functions. Each is put in, here or
 * in the file named, and the check named beside it is seen to fail; without it to pass.
 *
 *      bug                                   put into                 caught by
 *   1  tables balanced per port              NIC settings             differential run
 *   2  verdict of the speculative run        guard (guarded-bugs)     replay of the commits
 *   3  refreshed elsewhere, yet erased       guard (guarded-bugs)     replay of the commits
 *   4  expired, yet a hit on other cores     guard (guarded-bugs)     replay of the commits
 *   5  constant keys ignored                 (nobody asks for it)     plan: R4-constant-key
 *   6  pairs of one path skipped             NIC settings             differential run
 *   7  set not emptied, index unscaled       NF source                agreement with the C source
 *   8  rows of a sketch share cells          NF source                agreement with the C source
 *   9  a station that moved is not learned   NF source                agreement with the C source
 *  10  expiry floors to 0 s                  NF source                drops at twice the rate; agreement
 *  11  another expiry is built in            NF source                agreement with the C source
 *  12  frames leave by 1 - input             NF source                targets of three ports
 *  13  capacities are rounded up             layouts of the object    differential run, second pass
 *  14  NF and NIC parse differently          NIC settings; NF source  differential run; plan
 *  15  a key collapses to few cores          NIC settings             cores used: a weakness
 *  16  a failure exits with 0                exit paths of the CLI    exit codes
 *
 * Source: the code of Maestro (NSDI'24) and of its boilerplate, as published.
 */
import { deepEqual, equal, ok } from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { pathToFileURL } from "node:url";
import { capacitiesOf, splitLayouts, type LayoutPart } from "#codegen";
import { loadPortable } from "#engine";
import { createState, IrMachine } from "#interp";
import type { ProgramSpec } from "#isa";
import { programSpec, readObject, writeObject } from "#object";
import { buildFrame } from "#packet";
import { deviceContents } from "#proof";
import { nicProfile, type NicSetup } from "#rss";
import { generate, type Artifact } from "divisi";
import { root, temporaryFolder } from "./support/cli.ts";
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
  [["an expiry in whole seconds is 0: nothing is policed", "nfs-c-semantics", "policer: the bucket, to the byte and the nanosecond"],
   ["", "sixteen-bugs", "10: at twice the rate half is dropped"],
   ["", "sixteen-bugs", "an expiry in whole seconds, rounded down"]],
  [["the expiry that is built in is not the one of the source", "nfs-c-semantics", "firewall: answers only to what the LAN began, until it expires"],
   ["", "sixteen-bugs", "an expiry of 123 microseconds is built in"]],
  [["frames leave by 1 - input, whatever the verdict says", "nfs-suite", "dynamic-bridge: learns, floods, filters, forgets"],
   ["", "sixteen-bugs", "12: of three ports the one that the verdict names"]],
  [["capacities are rounded up", "sixteen-bugs", "13: shares of a capacity sum to it"],
   ["", "sixteen-bugs", "13: shares that are rounded up"]],
  [["the program and the NIC parse differently", "nfs-c-semantics", "port-knock: options move the ports; fragments, UDP and short frames drop"],
   ["", "sixteen-bugs", "14: a NIC that does not hash what the program keys by"],
   ["", "sixteen-bugs", "14: ports read where they stand without options"]],
  [["a key collapses to few cores", "key-quality", "every network function that a NIC can shard"],
   ["", "sixteen-bugs", "15: a key that sends everything to one entry"]],
  [["a failure exits with 0", "cli-failure", "flags of every command alone: a command is missing, as JSON too"],
   ["", "sixteen-bugs", "16: what fails does not exit with 0"]],
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

test(`13: shares that are rounded up let a full table take more (seed ${seed})`, async () => {
  const cores = 3;
  const of = await subjectOf("policer", "C", "small", {
    seed,
    packets: 800,
    search: 0,
    kinds: ["full tables"],
  });
  const { analysed } = of;
  const { object, program } = analysed;
  const profile = nicProfile("generic");
  const artifact = generate(analysed, profile, {
    cores,
    profile,
    ports: analysed.ports,
    samples: 10,
    layout: "private",
  });
  const [buckets] = artifact.plan.objects.filter(
    ({ layout }) => layout === "table",
  );
  ok(buckets?.capacities !== undefined);
  deepEqual(buckets.capacities, [3, 3, 2]);
  // Nine entries where there were eight.
  const rounded = buckets.capacities.map(() => Math.ceil(8 / cores));
  const emitted = (capacities: readonly number[]): ProgramSpec => {
    const part: LayoutPart = {
      object: buckets.object,
      layout: "table",
      capacities,
    };
    const parts = [part];
    const split = splitLayouts(object, program.name, { cores, parts });
    return programSpec(readObject(writeObject(split), "core.o"));
  };
  const ran = (capacities: readonly number[]): Cell =>
    planCell(
      of,
      { ...artifact, emitted: emitted(capacities) },
      { seed, mutants: 0, strategy: "plan", cores },
    );
  const right = ran(buckets.capacities);
  deepEqual(right.first, []);
  // Tables were full, or the bug would not have shown.
  ok(right.deviations > 0);
  ok(ran(rounded).mismatches > 0);
});

// Classes that a policer keys by destination like any other.
for (const classes of [["tcp4", "udp4"], ["other4"], ["fragment4"]] as const)
  test(`14: a NIC that does not hash what the program keys by: ${classes.join()} (seed ${seed})`, async () => {
    const of = await subject("policer");
    expectSeen(of, (setup) => ({
      ...setup,
      ports: setup.ports.map((port) => ({
        ...port,
        fields: {
          ...port.fields,
          ...Object.fromEntries(classes.map((name) => [name, ""])),
        },
      })),
    }));
  });

test(`14: ports read where they stand without options are no ports (seed ${seed})`, async () => {
  const arr = (change: (text: string) => string): Promise<MatrixSubject> =>
    subjectOf("arr", "TypeScript", "roomy", {
      seed,
      packets: 1500,
      search: 0,
      kinds: ["zipf", "bidirectional"],
      change,
    });
  const right = await arr((text) => text);
  const artifact = artifactOf(right, 4, "shard");
  ok((planTexts(artifact.plan)["counts"] ?? "").includes("l4.dport"));
  deepEqual(run(right, artifact).first, []);
  const from = "const count = ctx.state.counts.at(l4.dport & 255);";
  const wrong = await arr((text) => {
    ok(text.includes(from));
    return text.replace(
      from,
      `const dport = pkt.u16(36);
    if (dport === undefined) return drop;
    const count = ctx.state.counts.at(dport & 255);`,
    );
  });
  // The plan takes these bytes for what they are.
  const text = planTexts(artifactOf(wrong, 4).plan)["counts"] ?? "";
  ok(!text.includes("l4.dport"), text);
  // As if it had taken them for ports.
  const { program } = wrong.analysed;
  ok(run(wrong, { ...artifact, emitted: program }).mismatches > 0);
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

const wholeNanoseconds = "u64(bucket.last + limit.fill)";
const wholeSeconds =
  "u64(bucket.last + u64(u64(limit.fill / 1_000_000_000n) * 1_000_000_000n))";

/** Drops of a second of 1000-byte frames at 2 MB/s, where 1 MB/s is allowed. */
async function dropsAtTwiceTheRate(
  change: (text: string) => string,
): Promise<number> {
  const { program } = await objectOfTs("policer", { name: "default" }, change);
  const data = new Uint8Array(1000);
  data.set(
    buildFrame({
      ipv4: { src: "192.0.2.1", dst: "10.0.0.1" },
      udp: { sport: 53, dport: 1024 },
      size: 1000,
    }),
  );
  const contents = deviceContents(program, [1, 2]);
  const packets = Array.from({ length: 2000 }, (_, at) => ({
    data,
    ifindex: 2,
    rxQueue: 0,
    cpu: 0,
    time: 1_000_000_000n + BigInt(at) * 500_000n,
  }));
  return loadPortable(program, { cpus: 1, contents, seed })
    .run(packets)
    .filter(({ verdict }) => verdict === 1).length;
}

test("10: at twice the rate half is dropped, but for the burst", async () => {
  // 2,000,000 bytes come, 1,000,000 and a burst of 100,000 may pass.
  const drops = await dropsAtTwiceTheRate((text) => text);
  ok(drops >= 895 && drops <= 905, `${drops}`);
  const without = await dropsAtTwiceTheRate((text) =>
    text.replaceAll(wholeNanoseconds, wholeSeconds),
  );
  equal(without, 0);
});

// A change of a source, and the number of the setting (nf-mixes.ts) that shows it.
// prettier-ignore
const wrong: readonly (readonly [what: string, name: string, variant: number, from: string, to: string])[] = [
  ["a set is found by another number than its index", "port-scan-detector", 0, "touched.at(sources.indexOf(source))", "touched.at(max(sources.indexOf(source), 1) - 1)"],
  ["rows of a sketch share their cells", "connection-limiter", 0, "sketch.at(row, pair)", "sketch.at(0, pair)"],
  ["a station that moves stays where it was", "dynamic-bridge", 1, "if (ctx.config.learn_moves) source.port = ctx.port;", ""],
  ["an expiry in whole seconds, rounded down", "policer", 2, wholeNanoseconds, wholeSeconds],
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

// Words of the command line, and the exit code that they must end with.
// prettier-ignore
const failures: readonly (readonly [words: string, exit: number])[] = [
  ["analyze nowhere.o", 3],
  ["analyze --no-such-flag nfs/c/policer.o", 2],
  ["inspect package.json", 3],
  ["analyze nfs/c/policer.o --fail-on race", 1],
];

/** Those that end with 0, the modules changed as they are loaded. */
function endWithZero(
  rows: readonly (readonly [string, number])[],
  changes: Readonly<Record<string, readonly [from: string, to: string]>> = {},
): readonly string[] {
  const folder = temporaryFolder("exit");
  const hooks = join(folder, "hooks.mjs");
  writeFileSync(
    hooks,
    `const changes = ${JSON.stringify(changes)};
export async function load(url, context, next) {
  const loaded = await next(url, context);
  const change = changes[url.split("/").at(-1)];
  if (change === undefined || !url.includes("/dist/cli/")) return loaded;
  const source = String(loaded.source);
  if (!source.includes(change[0])) throw new Error("nothing to change in " + url);
  return { ...loaded, source: source.replaceAll(change[0], change[1]) };
}
`,
  );
  const preload = `data:text/javascript,${encodeURIComponent(
    `import { register } from "node:module"; register(${JSON.stringify(pathToFileURL(hooks).href)});`,
  )}`;
  return rows.flatMap(([words, exit]) => {
    const { status, stderr } = spawnSync(
      process.execPath,
      ["--import", preload, "dist/cli/main.js", ...words.split(" ")],
      {
        cwd: root,
        encoding: "utf8",
        env: { ...process.env, XDG_STATE_HOME: folder },
      },
    );
    ok(status === 0 || status === exit, `${words}: ${status}, ${stderr}`);
    return status === 0 ? [words] : [];
  });
}

test("16: what fails does not exit with 0", () => {
  deepEqual(endWithZero(failures), []);
  // Said, and then forgotten.
  const said = failures.filter(([, exit]) => exit !== 1);
  deepEqual(
    endWithZero(said, {
      "command-line.js": [
        "encodeExit(renderFailure(",
        "encodeExit(0 & renderFailure(",
      ],
    }),
    said.map(([words]) => words),
  );
  // The answer is no, and nobody tells the shell.
  const no = failures.slice(-1);
  deepEqual(
    endWithZero(no, {
      "command-line.js": ["encodeExit(answer.exit)", "encodeExit(0)"],
    }),
    no.map(([words]) => words),
  );
  // A process that dies without a word.
  const dies = {
    "command-line.js": ["const words = ", "process.abort(); const words = "],
  } as const;
  deepEqual(endWithZero([["analyze nowhere.o", 70]], dies), []);
  deepEqual(
    endWithZero([["analyze nowhere.o", 70]], {
      ...dies,
      "main.js": ["process.exitCode = 70", "process.exitCode = 0"],
    }),
    ["analyze nowhere.o"],
  );
});
