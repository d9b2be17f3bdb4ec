/**
 * The cost model: more writers, more skew and more cores move an estimate the way they
 * move the machine, and the choice flips where it should.
 */
import { deepEqual, equal, ok } from "node:assert/strict";
import { test } from "node:test";
import { readFileSync } from "node:fs";
import process from "node:process";
import {
  assert,
  constantFrom,
  double,
  integer,
  property,
  record,
} from "fast-check";
import { engineCosts, engineCostsSource } from "./engine-costs.ts";
import {
  estimate,
  lockTerms,
  timeOf as sumOf,
  transactionTerms,
} from "./cost.ts";
import { dispatchCost, dispatchCostSource } from "./dispatch-cost.ts";
import type { ObjectPart, StrategyName } from "./plan.ts";
import type { TrafficFacts } from "./traffic-facts.ts";

const seed = Number(process.env["DIVISI_SEED"] ?? 1);

const part = (object: string, strategy: StrategyName): ObjectPart => ({
  kind: "part",
  object,
  strategy,
  grade: "exact",
  reason: "",
  layout: "as-is",
  layoutChanged: false,
  deviations: [],
});

/** Each packet looks both up; `writing` of 1000 write `a`, the others only look. */
const facts = (writing: number, object = "a"): TrafficFacts => ({
  packets: 1000,
  instructions: 100_000,
  touches: { a: { cells: 1000, entries: 0 }, b: { cells: 1000, entries: 0 } },
  writes: [
    {
      objects: [object],
      refreshed: [],
      makesEntries: false,
      packets: writing,
    },
  ],
});

const plans = {
  "one core": [part("a", "sequential"), part("b", "sequential")],
  shard: [part("a", "shard"), part("b", "shard")],
  lock: [part("a", "lock"), part("b", "copy")],
  transaction: [part("a", "transaction"), part("b", "copy")],
} as const;

function timeOf(
  name: keyof typeof plans,
  traffic: TrafficFacts,
  { cores = 4, skew = 1 } = {},
): number {
  const alone = name === "one core";
  return estimate(plans[name], {
    cores: alone ? 1 : cores,
    skew: alone ? 1 : skew,
    traffic,
  }).total;
}

function cheapest(
  names: readonly (keyof typeof plans)[],
  traffic: TrafficFacts,
  at = {},
): string {
  return [...names].sort(
    (left, right) => timeOf(left, traffic, at) - timeOf(right, traffic, at),
  )[0] as string;
}

test(`guards get worse with the share of writers (seed ${seed})`, () => {
  const run = record({
    work: integer({ min: 5, max: 1000 }),
    cores: integer({ min: 2, max: 16 }),
    writing: double({ min: 0, max: 0.99, noNaN: true }),
    more: double({ min: 0.001, max: 1, noNaN: true }),
  });
  assert(
    property(run, ({ work, cores, writing, more }) => {
      const spread = 1 / cores;
      const then = Math.min(1, writing + more);
      for (const terms of [lockTerms, transactionTerms]) {
        const few = sumOf(terms({ work, cores, spread, writing }));
        const many = sumOf(terms({ work, cores, spread, writing: then }));
        ok(many > few, `${many} at ${then}, ${few} at ${writing}`);
      }
    }),
    { seed },
  );
});

test(`skew and fewer cores never help (seed ${seed})`, () => {
  const names = ["shard", "lock", "transaction"] as const;
  assert(
    property(
      constantFrom(...names),
      integer({ min: 0, max: 1000 }),
      double({ min: 1, max: 4, noNaN: true }),
      (name, writing, skew) => {
        const traffic = facts(writing);
        ok(
          timeOf(name, traffic, { skew }) >= timeOf(name, traffic, { skew: 1 }),
        );
        if (name === "shard")
          ok(
            timeOf(name, traffic, { cores: 8 }) <
              timeOf(name, traffic, { cores: 4 }),
          );
      },
    ),
    { seed },
  );
});

test("the choice flips where it should", () => {
  const guarded = ["one core", "lock", "transaction"] as const;
  const all = ["shard", ...guarded] as const;
  // prettier-ignore
  const cases: readonly (readonly [names: readonly (keyof typeof plans)[], writing: number, at: object, want: RegExp])[] = [
    [guarded, 0,    {},             /lock|transaction/],
    [guarded, 1,    {},             /lock|transaction/],
    [guarded, 1000, {},             /one core/],
    [guarded, 1000, { cores: 16 },  /one core/],
    [all,     1000, {},             /shard/],
    // One key has all packets: sharding is one core with a table in front.
    [["shard", "lock"], 0,    { skew: 4 }, /shard/],
    [["shard", "lock"], 1000, { skew: 1 }, /shard/],
  ];
  for (const [names, writing, at, want] of cases)
    ok(
      want.test(cheapest(names, facts(writing), at)),
      `${writing} of 1000 write, ${JSON.stringify(at)}: ${cheapest(names, facts(writing), at)}`,
    );
});

test("mutants of the facts are seen in the estimate", () => {
  // Skew ignored: four cores of which one has everything are one core.
  const all = facts(0);
  ok(timeOf("shard", all, { skew: 4 }) > 3.9 * timeOf("shard", all));
  equal(timeOf("shard", all, { skew: 4 }), timeOf("one core", all));
  // The traffic of another object: what writes `b` is none of a's guard's business.
  const own = timeOf("lock", facts(1000));
  const others = timeOf("lock", facts(1000, "b"));
  ok(own > 2 * others, `${own} and ${others}`);
  equal(cheapest(["one core", "lock"], facts(1000)), "one core");
  equal(cheapest(["one core", "lock"], facts(1000, "b")), "lock");
  // Entries made anywhere end an attempt.
  const [write] = facts(1000, "b").writes;
  const made = {
    ...facts(0),
    writes: [
      {
        ...write,
        objects: ["b"],
        refreshed: [],
        packets: 1000,
        makesEntries: true,
      },
    ],
  };
  equal(timeOf("lock", made), own);
  // An age is a transaction's write, and not a lock's.
  const aged = {
    ...facts(0),
    writes: [
      { objects: [], refreshed: ["a"], packets: 1000, makesEntries: false },
    ],
  };
  equal(timeOf("lock", aged), timeOf("lock", facts(0)));
  equal(timeOf("transaction", aged), timeOf("transaction", facts(1000)));
});

test("the table of the model is of the results that it names", () => {
  const read = (name: string): string =>
    readFileSync(
      new URL(`../../bench/results/${name}`, import.meta.url),
      "utf8",
    );
  if (!engineCostsSource.startsWith("bench/results/cost.json")) {
    for (const { source } of Object.values(engineCosts)) {
      const [file = ""] = source.split(":");
      if (file !== "assumed") ok(read(file).length > 0, source);
    }
    return;
  }
  const { costs } = JSON.parse(read("cost.json")) as {
    readonly costs: Readonly<Record<string, { value: number; unit: string }>>;
  };
  deepEqual(
    Object.entries(engineCosts).map(([name, { value, unit }]) => [
      name,
      value,
      unit,
    ]),
    Object.entries(costs).map(([name, { value, unit }]) => [name, value, unit]),
  );
});

test("the cost of dispatch is of the result that it names", () => {
  const url = new URL(`../../${dispatchCostSource}`, import.meta.url);
  const text = readFileSync(url, "utf8");
  if (dispatchCostSource.endsWith(".json")) {
    const { cost } = JSON.parse(text) as { cost: { interval: unknown } };
    deepEqual(dispatchCost, cost.interval);
  } else
    ok(
      text
        .replaceAll(/\s+/g, " ")
        .includes(
          dispatchCost.map((one) => Math.round(100 * one)).join(" to "),
        ),
    );
});
