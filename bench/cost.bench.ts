/**
 * The constants of the cost model (src/strategy/cost.ts), fitted to what
 * bench/results/strategies.json measured: run that bench first, then this one, which
 * measures nothing itself, then `node scripts/engine-costs.mjs`.
 *
 * How often a packet does what is counted by the interpreter on the same traffic
 * (src/measured-traffic.ts), as the model counts it for a user's trace. Fitted by
 * least squares of the relative error, nothing below zero, on the model's own formulas:
 *
 *   work         the sequential program: packet, instruction, array, hash, entry
 *   copy         the program with per-CPU maps on one core, beside the sequential
 *   lock         lockReader, lockAttempt, lockWriter, lockOther: from measured work
 *   transaction  transaction, commit, conflict, alone: from measured work
 *
 * Intervals (90 %) are of a bootstrap over programs. `leftOut`: how far off each figure is
 * that constants predict which were fitted without its program.
 */
import { Random } from "#base";
import { quantile } from "#engine";
import {
  lockTerms,
  touchTerms,
  transactionTerms,
  writeShare,
  type CostName,
  type Terms,
  type TrafficFacts,
} from "#strategy";
import { churnFacts } from "./support/churn-facts.ts";
import { churnSubject, type ChurnSubject } from "./support/churn-subject.ts";
import { nonNegative } from "./support/least-squares.ts";
import {
  measuredStrategies,
  nsOf,
  type MeasuredRow,
} from "./support/measured-rows.ts";

interface Fact {
  readonly program: string;
  readonly terms: Terms;
  readonly ns: number;
}

const groups = {
  work: ["packet", "instruction", "array", "hash", "entry"],
  copy: ["copy"],
  lock: ["lockReader", "lockAttempt", "lockWriter", "lockOther"],
  transaction: ["transaction", "commit", "conflict", "alone"],
} as const satisfies Readonly<Record<string, readonly CostName[]>>;
type Group = keyof typeof groups;

const shares: readonly CostName[] = ["lockAttempt", "alone"];
const rounds = 200;
const { rows, machine, date, passes } = measuredStrategies();

/** What a packet does outside guards. */
function workTerms(
  { report }: ChurnSubject,
  traffic: TrafficFacts,
  layout: "as-is" | "per-cpu",
): Terms {
  const types = new Map(report.objects.map(({ name, type }) => [name, type]));
  const of: Partial<Record<CostName, number>> = {
    packet: 1,
    instruction: traffic.instructions / traffic.packets,
  };
  for (const { name, access } of report.objects) {
    const isMerged = layout === "per-cpu" && access === "add-only";
    const touches = touchTerms(
      { object: name, layout: isMerged ? layout : "as-is" },
      { traffic, types },
    );
    for (const [key, times] of Object.entries(touches.of) as [
      CostName,
      number,
    ][])
      of[key] = (of[key] ?? 0) + times;
  }
  return { fixed: 0, of };
}

function factsOf(): Readonly<Record<Group, readonly Fact[]>> {
  const found: Record<Group, Fact[]> = {
    work: [],
    copy: [],
    lock: [],
    transaction: [],
  };
  const alone = (row: MeasuredRow): MeasuredRow | undefined =>
    rows.find(
      ({ program, churn, strategy, cores }) =>
        program === row.program &&
        churn === row.churn &&
        strategy === "shared-nothing" &&
        cores === 1,
    );
  const names = [...new Set(rows.map(({ program }) => program))];
  for (const program of names) {
    const subject = churnSubject(program);
    const own = rows.filter((row) => row.program === program);
    for (const churn of new Set(own.map((row) => row.churn))) {
      const traffic = churnFacts(subject, churn);
      const guarded = new Set(subject.guard.objects);
      for (const row of own.filter((each) => each.churn === churn)) {
        const { cores, strategy } = row;
        const base = alone(row);
        if (base === undefined) continue;
        const ns = nsOf(row);
        const work = nsOf(base);
        const spread = 1 / cores;
        if (strategy === "shared-nothing" && cores === 1)
          found.work.push({
            program,
            ns,
            terms: workTerms(subject, traffic, "as-is"),
          });
        else if (strategy === "merge" && cores === 1) {
          const { of } = workTerms(subject, traffic, "per-cpu");
          found.copy.push({
            program,
            ns,
            terms: { fixed: work, of: { copy: of.copy ?? 0 } },
          });
        } else if (strategy === "lock" || strategy === "transaction") {
          const isTransaction = strategy === "transaction";
          const writing = writeShare(traffic, guarded, isTransaction);
          const run = { work, spread, cores, writing };
          const terms = isTransaction ? transactionTerms(run) : lockTerms(run);
          found[strategy].push({ program, ns, terms });
        }
      }
    }
  }
  return found;
}

function fit(group: Group, facts: readonly Fact[]): Map<CostName, number> {
  const names = groups[group];
  const values = nonNegative(
    facts.map(({ terms, ns }) => ({
      coefficients: names.map((name) => terms.of[name] ?? 0),
      value: ns - terms.fixed,
      scale: ns,
    })),
    names.length,
  );
  return new Map(names.map((name, at) => [name, values[at] ?? 0]));
}

const predicted = (
  { terms: { fixed, of } }: Fact,
  values: ReadonlyMap<CostName, number>,
): number => {
  let sum = fixed;
  for (const [name, value] of values) sum += value * (of[name] ?? 0);
  return sum;
};

const rounded = (value: number): number => Number(value.toPrecision(3));
const all = factsOf();
const costs: Record<string, unknown> = {};
const fitted: Record<string, unknown> = {};
for (const group of Object.keys(groups) as Group[]) {
  const facts = all[group];
  const programs = [...new Set(facts.map(({ program }) => program))];
  const values = fit(group, facts);
  const random = new Random(1);
  const drawn = Array.from({ length: rounds }, () => {
    const picked = programs.map(() => random.pick(programs));
    return fit(
      group,
      picked.flatMap((name) => facts.filter(({ program }) => program === name)),
    );
  });
  for (const [name, value] of values) {
    const found = drawn.map((each) => each.get(name) ?? 0);
    costs[name] = {
      value: rounded(value),
      unit: shares.includes(name) ? "of work" : "ns",
      interval: [quantile(found, 0.05), quantile(found, 0.95)].map(rounded),
    };
  }
  const errors = programs.flatMap((name) => {
    const without = fit(
      group,
      facts.filter(({ program }) => program !== name),
    );
    return facts
      .filter(({ program }) => program === name)
      .map((fact) => Math.abs(predicted(fact, without) / fact.ns - 1));
  });
  const off = [0.5, 0.9].map((part) => rounded(quantile(errors, part)));
  fitted[group] = {
    figures: facts.length,
    programs: programs.length,
    leftOut: { median: off[0], p90: off[1] },
  };
  console.error(
    `  ${group}: ${facts.length} figures; left out, off by ${off.map((part) => `${Math.round(100 * (part ?? 0))} %`).join(" (median), ")} (90 %)`,
  );
}
console.log(
  JSON.stringify({
    schema: "divisi.bench-cost/1",
    from: "bench/results/strategies.json",
    date,
    machine,
    passes,
    costs,
    fitted,
  }),
);
