/**
 * Is what the cost model picks near the best that was measured? Over
 * bench/results/strategies.json: per network function, churn and cores, the plan for that
 * traffic and what its strategy reached, beside the best strategy that the function
 * allows. Measures nothing itself. Good is within 20 %.
 *
 * Allowed are one core, a lock, transactions; merging where that is all; and sharing
 * nothing where the plan without guards shards or copies everything. A plan that mixes
 * (one object sharded, another locked) is taken for its guard around everything.
 */
import { choosePlan, type Plan } from "divisi";
import { churnFacts } from "./support/churn-facts.ts";
import { churnSubject } from "./support/churn-subject.ts";
import { measuredStrategies } from "./support/measured-rows.ts";

const ports = [
  { name: "lan", ifindex: 1 },
  { name: "wan", ifindex: 2 },
];
const good = 0.8;
const { rows, machine, date, passes } = measuredStrategies();

const armOf = ({ strategy }: Plan): string =>
  strategy === "sequential"
    ? "one core"
    : strategy === "shard" || strategy === "copy"
      ? "shared-nothing"
      : strategy;

const table = [...new Set(rows.map(({ program }) => program))].flatMap(
  (program) => {
    const subject = churnSubject(program);
    const own = rows.filter((row) => row.program === program);
    const churns = [...new Set(own.map(({ churn }) => churn))];
    return churns.flatMap((churn) => {
      const traffic = churnFacts(subject, churn);
      const counts = new Set(own.map(({ cores }) => cores));
      return [...counts]
        .filter((cores) => cores > 1)
        .map((cores) => {
          const given = { cores, ports, traffic, samples: 10 };
          const plain = choosePlan(subject.report, given);
          const plan = choosePlan(subject.report, {
            ...given,
            guards: ["lock", "transaction"],
          });
          const mpps = new Map<string, number>();
          for (const row of own) {
            if (row.churn !== churn) continue;
            if (row.strategy === "shared-nothing" && row.cores === 1)
              mpps.set("one core", row.mpps);
            if (row.cores !== cores) continue;
            if (
              row.strategy !== "shared-nothing" ||
              armOf(plain) === "shared-nothing"
            )
              mpps.set(row.strategy, row.mpps);
          }
          const [best = ["none", 0] as const] = [...mpps].sort(
            (left, right) => right[1] - left[1],
          );
          const picked = armOf(plan);
          const reached = (mpps.get(picked) ?? 0) / best[1];
          return {
            program,
            churn,
            cores,
            picked,
            best: best[0],
            reached: Math.round(1000 * reached) / 1000,
            estimated: plan.cost.nsPerPacket,
            measured: Math.round(1e4 / (mpps.get(picked) ?? Infinity)) / 10,
            mpps: Object.fromEntries(mpps),
          };
        });
    });
  },
);
const within = table.filter(({ reached }) => reached >= good);
for (const row of table.filter(({ reached }) => reached < good))
  console.error(
    `  ${row.program}, ${row.churn} fpm, ${row.cores} cores: ${row.picked} reaches ${Math.round(100 * row.reached)} % of ${row.best} (${JSON.stringify(row.mpps)})`,
  );
console.error(
  `  ${within.length} of ${table.length} choices within 20 % of the best`,
);
console.log(
  JSON.stringify({
    schema: "divisi.bench-choice/1",
    from: "bench/results/strategies.json",
    date,
    machine,
    passes,
    within: within.length,
    of: table.length,
    table,
  }),
);
