/**
 * Entries of the table move while packets arrive: nothing is lost, the order within
 * each key is kept, verdicts and state are the sequential program's, and the load is
 * even again soon after the hot spot moved. Each way to break the protocol is caught.
 */
import { deepEqual, equal, match, ok } from "node:assert/strict";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";
import {
  rebalanceOnThreads,
  rebalanceVirtually,
  type RebalanceMutant,
  type Tick,
} from "#engine";
import { divisi, temporaryFolder } from "./support/cli.ts";
import { rebalanceCase } from "./support/rebalance-case.ts";

const seed = Number(process.env["DIVISI_SEED"] ?? 1);
const folder = temporaryFolder("rebalance");
after(() => rmSync(folder, { recursive: true, force: true }));

/** Most table updates from the first interval above the bound to one below it. */
function recovery(ticks: readonly Tick[], bound: number): readonly number[] {
  const spells: number[] = [];
  let since: number | undefined;
  let updates = 0;
  for (const tick of ticks) {
    if (tick.imbalance > bound) since ??= updates;
    else if (since !== undefined) {
      // The update of this interval comes after its packets.
      spells.push(updates - since);
      since = undefined;
    }
    updates = tick.updates;
  }
  return spells;
}

test(`a moving hot spot, 1,000,000 packets (seed ${seed})`, () => {
  const { options, wrong } = rebalanceCase(
    "port-knock",
    `gen:moving-zipf,packets=1m,flows=1000,seed=${seed}`,
    { cores: 4, seed },
  );
  const run = rebalanceVirtually(options);
  deepEqual(wrong(run), []);
  equal(run.packets, 1_000_000);
  ok(run.moved > 100 && run.records > 100, `${run.moved}, ${run.records}`);
  const spells = recovery(run.ticks, 1.2);
  ok(spells.length >= 20, `${spells.length} hot spots`);
  ok(Math.max(...spells) <= 10, `table updates: ${spells.join(" ")}`);
});

// prettier-ignore
const cases: readonly (readonly [string, string, number])[] = [
  ["firewall",        "gen:bidirectional,packets=20000,skew=1.2,flows=400",    4],
  ["firewall",        "gen:bidirectional,packets=20000,skew=1.2,flows=50",    16],
  ["policer",         "gen:moving-zipf,packets=20000,port=1,flows=300,epochs=4", 3],
  ["arr",             "gen:moving-zipf,packets=20000,flows=200,epochs=4",      2],
  ["source-counter",  "gen:moving-zipf,packets=20000,flows=200,epochs=8",      8],
  ["heavy-hitter",    "gen:flip-flop,packets=20000,flows=100,epochs=5",        4],
];
for (const [index, [nf, trace, cores]] of cases.entries())
  test(`${nf} on ${cores} cores, virtual and real (seed ${seed})`, async () => {
    const made = rebalanceCase(nf, `${trace},seed=${seed + index}`, {
      cores,
      seed,
    });
    // Often, and slowly written: entries are nearly always on the move.
    const options = { ...made.options, interval: 300, delay: 250 };
    for (const draw of [1, 2, 3]) {
      const run = rebalanceVirtually({ ...options, seed: seed + draw });
      deepEqual(made.wrong(run), []);
      ok(run.moved > 0 && run.updates > 0);
    }
    const still = rebalanceVirtually({ ...options, decide: () => [] });
    ok(still.updates === 0 && made.wrong(still).length === 0);
    deepEqual(
      rebalanceVirtually(options).tickets,
      rebalanceVirtually(options).tickets,
      "one seed, one run",
    );
    deepEqual(made.wrong(await rebalanceOnThreads(options)), []);
  });

const mutants: readonly (readonly [RebalanceMutant, RegExp])[] = [
  ["no-fence", /reordered|mismatches/],
  ["early-replay", /reordered/],
  ["forgotten-record", /state differs|mismatches/],
  ["wrong-order", /reordered/],
  ["one-port", /reordered|lost|mismatches/],
  ["no-buffer", /reordered/],
];
test(`each way to break the protocol is caught (seed ${seed})`, () => {
  const made = rebalanceCase(
    "firewall",
    `gen:bidirectional,packets=20000,skew=1.2,flows=400,seed=${seed + 1}`,
    { cores: 4, seed },
  );
  deepEqual(made.wrong(rebalanceVirtually(made.options)), []);
  for (const [mutant, what] of mutants) {
    const run = rebalanceVirtually({ ...made.options, mutant });
    match(made.wrong(run).join(", "), what, mutant);
  }
});

test("run --rebalance: text and JSON", () => {
  const directory = join(folder, "firewall");
  const split = divisi([
    "split",
    "nfs/c/firewall.o",
    "-o",
    directory,
    "--cores",
    "4",
    "--seed",
    "1",
    "--trace",
    "gen:coverage",
  ]);
  equal(split.status, 0, split.stderr);
  const words = [
    "run",
    directory,
    "--rebalance",
    "--virtual",
    "--seed",
    "1",
    "--trace",
    "gen:bidirectional,packets=20000,skew=1.2,flows=400,seed=2",
  ];
  const text = divisi(words);
  equal(text.status, 0, text.stdout + text.stderr);
  match(
    text.stdout,
    /^firewall: 20,000 packets\n  redirect   [\d,]+\n  drop       [\d,]+\n(  core \d     [\d,]+ packets\n){4}  table      \d+ updates, \d+ entries and \d+ records moved\n  imbalance  at most \d\.\d\d; above 1\.2 in \d+ of 9 intervals\n  order      0 lost, 0 twice, 0 out of order within their key\n  equal      0 mismatches with the sequential program; state equal\n  state      [0-9a-f]{16}\n$/,
  );
  const { stdout, status } = divisi([...words, "--json"]);
  equal(status, 0);
  const answer = JSON.parse(stdout) as {
    schema: string;
    mismatches: number;
    lost: number;
    reordered: number;
    stateEqual: boolean;
    rebalance: { updates: number; recordsMoved: number; overTime: Tick[] };
  };
  equal(answer.schema, "divisi.run/1");
  deepEqual([answer.mismatches, answer.lost, answer.reordered], [0, 0, 0]);
  ok(answer.stateEqual && answer.rebalance.updates > 0);
  ok(answer.rebalance.recordsMoved > 0);
  equal(answer.rebalance.overTime.length, 9);
});

// prettier-ignore
const refused: readonly (readonly [readonly string[], number, RegExp])[] = [
  [["nfs/c/firewall.o", "--rebalance"], 2, /--rebalance is for what split wrote/],
  [["nfs/c/firewall.o", "--virtual"], 2, /--virtual is for --rebalance/],
  [["nfs/c/firewall.o", "--rebalance", "--out", "x"], 2, /without --out/],
];
for (const [words, exit, said] of refused)
  test(`run ${words.join(" ")}: exit ${exit}`, () => {
    const { status, stderr } = divisi(["run", ...words]);
    equal(status, exit);
    match(stderr, said);
  });
