/**
 * What every network function of the suite must come to on four cores behind the generic
 * NIC profile, C and TypeScript alike: strategy, rule and fields of each object, and the
 * grade of the plan. A weaker grade than here is a failure.
 *
 * Source: the table of verdicts in Maestro (NSDI'24) as the suite's semantics refine it.
 */
import type { Grade } from "#strategy";

export interface ExpectedPlan {
  readonly grade: Grade;
  /** As `partText` says it: fields of a port sorted. Copies need not be named. */
  readonly objects: Readonly<Record<string, string>>;
}

// prettier-ignore
export const expectedPlans: Readonly<Record<string, ExpectedPlan>> = {
};
