/**
 * Candidates with what they would cost, and for each object what every strategy would:
 * estimates are of the whole plan with that object kept so and all others as planned,
 * since a guard around one object is waited for by packets that never touch it.
 */
import type { StateReport } from "../analysis/index.ts";
import type { Attempt, Choice } from "./attempt.ts";
import { estimate } from "./cost.ts";
import type { Priced } from "./plan-parts.ts";
import type { ObjectEstimate, StrategyName } from "./plan.ts";
import { sequential } from "./sequential.ts";
import { preference } from "./strategies.ts";
import { skewOf, type TrafficFacts } from "./traffic-facts.ts";

export interface Pricing {
  readonly report: StateReport;
  readonly cores: number;
  readonly traffic: TrafficFacts | undefined;
}

/** Undefined: one core. */
export function pricedAttempt(
  attempt: Attempt | undefined,
  { report, cores, traffic }: Pricing,
): Priced {
  const given = {
    types: new Map(report.objects.map(({ name, type }) => [name, type])),
    ...(traffic === undefined ? {} : { traffic }),
  };
  if (attempt === undefined) {
    const parts = report.objects.map(sequential);
    const estimated = estimate(parts, { cores: 1, skew: 1, ...given });
    return { attempt, parts, skew: 1, ...estimated };
  }
  const { solution, parts, requirement } = attempt;
  const measured =
    traffic === undefined || solution === undefined
      ? undefined
      : skewOf(traffic, solution, { requirement, cores });
  const skew = measured?.busiest ?? solution?.imbalance.uniform ?? 1;
  const estimated = estimate(parts, { cores, skew, ...given });
  return {
    attempt,
    parts,
    skew,
    ...(measured === undefined ? {} : { largestEntry: measured.largestEntry }),
    ...estimated,
  };
}

/** What each object would cost under each strategy, or why it cannot have it. */
export function estimatesOf(
  choices: readonly Choice[],
  {
    chosen,
    attemptOf,
    priceOf,
  }: {
    /** Undefined: one core. */
    readonly chosen: Attempt | undefined;
    readonly attemptOf: (choices: readonly Choice[]) => Attempt;
    readonly priceOf: (attempt: Attempt | undefined) => Priced;
  },
): readonly ObjectEstimate[] {
  const alone = priceOf(undefined).total;
  return choices.flatMap((choice) => {
    const { unit, way } = choice;
    const object = unit.family.head.name;
    const taken = chosen === undefined ? "sequential" : way.strategy;
    if (taken === "copy") return [];
    const names: readonly StrategyName[] = [
      ...preference.filter((name) => name !== "copy"),
      "sequential",
    ];
    return names.flatMap((strategy): ObjectEstimate[] => {
      const is = { object, strategy, taken: strategy === taken };
      if (strategy === "sequential") return [{ ...is, ns: alone }];
      const other = unit.ways.find((each) => each.strategy === strategy);
      if (other === undefined) {
        const refusal = unit.refusals.find(
          (each) => each.strategy === strategy && each.code !== "R-family",
        );
        return refusal === undefined ? [] : [{ ...is, refused: refusal.code }];
      }
      const attempted = attemptOf(
        choices.map((each) =>
          each === choice ? { ...each, way: other } : each,
        ),
      );
      const [refusal] = attempted.refusals ?? [];
      return refusal === undefined
        ? [{ ...is, ns: priceOf(attempted).total }]
        : [{ ...is, refused: refusal.code }];
    });
  });
}
