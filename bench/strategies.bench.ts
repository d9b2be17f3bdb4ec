/**
 * What state that cores share costs, by how it is kept apart, on the portable engine:
 * all network functions of nfs/c under a lock, under transactions, with nothing shared,
 * and with merged counters where they are all that is written; on 1, 2 and all cores,
 * from a flow table that never changes to one where every sixth packet begins a flow.
 *
 *   --budget S     seconds for all of it (default 660). The whole matrix is gone through
 *                  again and again, all arms in turn, until the time is over; a pass
 *                  that was begun is finished only if it was the first
 *   --samples N    passes at most (default 9)
 *   --only A,B     these functions
 *   --churns A,B   these rates, in flows per minute
 *
 * Traffic: support/churned-traffic.ts. With nothing shared each core knows only its own
 * flows, so those figures are what the engine reaches where a plan shards by these
 * flows; locks and transactions serve any program. Shared-nothing on one core is the
 * sequential program.
 *
 * `mpps`: sum over cores of packets by time inside the compiled program, waiting for
 * other cores included, waiting for a CPU not (run-clock.ts). A pass gives the median of
 * its windows (4,096 packets of a core each, behind a warm-up); shown is the median of
 * passes with a 90 % interval.
 * Cores of one memory begin each batch together, so that taking packets in, which is not
 * counted, gives nobody the state to himself. A busy machine shows as wide intervals:
 * whoever waits for a core that has no CPU waits inside the program. A portable figure
 * never predicts a kernel's.
 */
import { availableParallelism, cpus, loadavg, release } from "node:os";
import process from "node:process";
import { parseArgs } from "node:util";
import { median, medianInterval, runParallel, type Look } from "#engine";
import { widened } from "#proof";
import {
  churnedTraffic,
  flows,
  spacingNs,
  warmUp,
  type ChurnedTraffic,
} from "./support/churned-traffic.ts";
import {
  churnSubject,
  churnSubjects,
  runOf,
  strategies,
  type ChurnSubject,
  type Strategy,
} from "./support/churn-subject.ts";

const { values } = parseArgs({
  options: {
    budget: { type: "string", default: "660" },
    samples: { type: "string", default: "9" },
    only: { type: "string" },
    churns: {
      type: "string",
      default: "0,100000,1000000,10000000,100000000",
    },
  },
});
const budget = Number(values.budget);
const mostPasses = Number(values.samples);
const churns = values.churns.split(",").map(Number);
const coreCounts = [...new Set([1, 2, availableParallelism()])].sort(
  (left, right) => left - right,
);
/** Packets of a core between two looks at its clock, and such windows. */
const window = 4096;
const windows = 8;
const say = (text: string): void => console.error(`  ${text}`);

interface Cell {
  readonly subject: ChurnSubject;
  readonly strategy: Strategy;
  readonly cores: number;
  readonly churn: number;
  readonly rates: number[];
  readonly counts: Record<string, number>;
}

/** Rates of the windows behind the warm-up, over all cores. */
function ratesOf(cores: readonly (readonly Look[])[]): number[] {
  const first = warmUp / window - 1;
  return Array.from({ length: windows }, (_, at) => {
    let rate = 0;
    for (const looks of cores) {
      const [from, to] = [looks[first + at], looks[first + at + 1]];
      if (from === undefined || to === undefined) return 0;
      rate += (1000 * (to.packets - from.packets)) / (to.ns - from.ns);
    }
    return rate;
  }).filter((rate) => rate > 0);
}

/** What guards counted behind the warm-up is added. */
function count(
  counts: Record<string, number>,
  cores: readonly (readonly Look[])[],
): void {
  for (const looks of cores) {
    const from = looks[warmUp / window - 1]?.guard;
    const to = looks.at(-1)?.guard;
    if (from === undefined || to === undefined) continue;
    for (const name of [
      "reads",
      "writes",
      "restarts",
      "aborts",
      "serial",
    ] as const)
      counts[name] = (counts[name] ?? 0) + to[name] - from[name];
  }
}

async function measure(
  { subject, strategy, cores, rates, counts }: Cell,
  { packed, steer }: ChurnedTraffic,
): Promise<void> {
  const run = runOf(subject, strategy);
  if (run === undefined) return;
  const { cores: ran } = await runParallel({
    ...run,
    contents: widened(run.contents ?? {}, run.program, cores),
    cores,
    cpus: cores,
    packets: packed,
    steer,
    window,
  });
  const looks = ran.map((core) => core.looks ?? []);
  const found = ratesOf(looks);
  if (found.length > 0) rates.push(median(found));
  count(counts, looks);
}

const loadBefore = loadavg()[0] ?? 0;
const started = performance.now();
const elapsed = (): number => (performance.now() - started) / 1000;
const names = values.only?.split(",") ?? churnSubjects();
const subjects = names.map((name) => churnSubject(name));
const traffic = new Map<string, ChurnedTraffic>();
for (const churn of churns)
  for (const cores of coreCounts)
    traffic.set(
      `${churn} ${cores}`,
      churnedTraffic(churn, cores, window * windows),
    );
const cells: readonly Cell[] = churns.flatMap((churn) =>
  subjects.flatMap((subject) =>
    strategies
      .filter((strategy) => runOf(subject, strategy) !== undefined)
      .flatMap((strategy) =>
        coreCounts.map((cores) => ({
          subject,
          strategy,
          cores,
          churn,
          rates: [],
          counts: {},
        })),
      ),
  ),
);
say(
  `${cells.length} arms on ${coreCounts.join(", ")} cores, up to ${mostPasses} passes in ${budget} s; load ${loadBefore.toFixed(1)}`,
);
let passes = 0;
let isOver = false;
for (; passes < mostPasses && !isOver; passes++) {
  const began = elapsed();
  for (const [at, cell] of cells.entries()) {
    if (passes > 0 && elapsed() > budget) {
      isOver = true;
      break;
    }
    const packets = traffic.get(`${cell.churn} ${cell.cores}`);
    if (packets !== undefined) await measure(cell, packets);
    if (at % 50 === 49 || at === cells.length - 1) {
      const pass = ((elapsed() - began) / (at + 1)) * cells.length;
      const possible = Math.floor((budget - began) / pass);
      say(
        `pass ${passes + 1}: ${at + 1} of ${cells.length}; ${elapsed().toFixed(0)} s, a pass takes ${pass.toFixed(0)} s, about ${Math.max(1, Math.min(mostPasses, passes + possible))} fit; done in at most ${Math.max(0, Math.max(budget, began + pass) - elapsed()).toFixed(0)} s`,
      );
    }
  }
}

const places =
  (digits: number) =>
  (value: number): number =>
    Math.round(value * 10 ** digits) / 10 ** digits;
const hundredths = places(2);
const rows = cells.map(
  ({ subject, strategy, cores, churn, rates, counts }) => ({
    program: subject.name,
    strategy,
    cores,
    churn,
    mpps: hundredths(median(rates)),
    interval: medianInterval(rates, {
      seed: 1,
      rounds: 500,
      confidence: 0.9,
    }).map(hundredths),
    passes: rates.length,
    ...(Object.keys(counts).length === 0 ? {} : { counts }),
  }),
);

console.log(
  JSON.stringify({
    schema: "divisi.bench-strategies/2",
    date: new Date().toISOString().slice(0, 10),
    machine: {
      cpu: cpus()[0]?.model ?? "unknown",
      cpus: cpus().length,
      available: availableParallelism(),
      node: process.version,
      kernel: release(),
      loadAverage: [loadBefore, loadavg()[0] ?? 0].map(places(1)),
    },
    includes: "program",
    threads: "one worker thread per core, not pinned",
    seconds: Math.round(elapsed()),
    passes,
    wholePasses: isOver ? passes - 1 : passes,
    traffic: {
      flows,
      spacingNs,
      warmUpPerCore: warmUp,
      measuredPerCore: window * windows,
      window,
      churns: [...traffic].map(([name, { newFlows, measured, perMinute }]) => ({
        churn: Number(name.split(" ")[0]),
        cores: Number(name.split(" ")[1]),
        newFlows,
        packets: measured,
        achievedPerMinute: perMinute,
      })),
    },
    rows,
  }),
);
