/**
 * What a plan costs: estimated time per packet over all cores (the inverse of what
 * they do together), on the portable engine, which has every strategy.
 *
 *   spread    the busiest core's share of the packets: skew / cores
 *   work      what the sequential program takes for a packet: instructions, look-ups
 *             by kind of map, entries made
 *   writing   share of the packets that write what is guarded, as the guard sees it
 *
 *   plain        spread · work
 *   lock         readers side by side, each with its own token; writers alone, behind
 *                an attempt as readers, and with every other core's token:
 *                spread · (1 − writing) · work + writing · work
 *                + spread · (lockReader + writing · lockAttempt · work)
 *                + writing · (lockWriter + lockOther · (cores − 1))
 *   transaction  side by side, but for what comes behind a first write, and what others'
 *                commits undid, which is done again:
 *                spread · (work + transaction)
 *                + writing · (commit + conflict · [cores > 1]
 *                             + alone · work · (1 − 1 / cores))
 *
 * Every formula is a sum of constants times what is known of plan and traffic (`Terms`),
 * so that the fit (bench/cost.bench.ts) solves for the same formulas. The constants are
 * engine-costs.ts, whose source is that bench's result. Good for ranking strategies of
 * one program, not for predicting rates: a figure of the portable engine says nothing
 * about the kernel's.
 */
import { engineCosts } from "./engine-costs.ts";
import type { ObjectPart, StrategyName } from "./plan.ts";
import { writeShare, type TrafficFacts } from "./traffic-facts.ts";

export type CostName = keyof typeof engineCosts;

/** Nanoseconds: `fixed`, and so many times each constant. */
export interface Terms {
  readonly fixed: number;
  readonly of: Readonly<Partial<Record<CostName, number>>>;
}

/** The sum, by the constants of engine-costs.ts. */
export function timeOf({ fixed, of }: Terms): number {
  let sum = fixed;
  for (const [name, times] of Object.entries(of) as [CostName, number][])
    sum += times * engineCosts[name].value;
  return sum;
}

export interface CostInput {
  readonly cores: number;
  /** Load of the busiest core over the mean. */
  readonly skew: number;
  readonly traffic?: TrafficFacts;
  /** Map type by object; default: hash maps. */
  readonly types?: ReadonlyMap<string, string>;
}

export interface Estimate {
  /** ns per packet. */
  readonly total: number;
  /** Of it, by object. */
  readonly objects: ReadonlyMap<string, number>;
  /** Share of the packets that write a guarded object. */
  readonly writing: number;
}

/** Where no traffic says more: one packet in fifty writes. */
export const assumedWriting = 0.02;

export function estimate(
  parts: readonly ObjectPart[],
  input: CostInput,
): Estimate {
  const { cores, skew, traffic } = input;
  const spread = Math.min(1, skew / cores);
  const guarded = parts.filter(({ strategy }) => isGuard(strategy));
  const names = new Set(guarded.map(({ object }) => object));
  const isTransaction = guarded.some(
    ({ strategy }) => strategy === "transaction",
  );
  const writing =
    names.size === 0
      ? 0
      : traffic === undefined
        ? assumedWriting
        : writeShare(traffic, names, isTransaction);
  const work = workOf(parts, input);
  const run = { work, spread, cores, writing };
  const total =
    names.size === 0
      ? spread * work
      : timeOf(isTransaction ? transactionTerms(run) : lockTerms(run));
  const guard = total - spread * work;
  const objects = new Map(
    parts.map((part) => [
      part.object,
      rounded(
        spread * touchTime(part, input) +
          (names.has(part.object) ? guard / names.size : 0),
      ),
    ]),
  );
  return { total: rounded(total), objects, writing };
}

const isGuard = (name: StrategyName): boolean =>
  name === "lock" || name === "transaction";

export interface GuardedRun {
  readonly work: number;
  readonly spread: number;
  readonly cores: number;
  readonly writing: number;
}

export function lockTerms({ work, spread, cores, writing }: GuardedRun): Terms {
  return {
    fixed: (spread * (1 - writing) + writing) * work,
    of: {
      lockReader: spread,
      lockAttempt: spread * writing * work,
      lockWriter: writing,
      lockOther: writing * (cores - 1),
    },
  };
}

export function transactionTerms({
  work,
  spread,
  cores,
  writing,
}: GuardedRun): Terms {
  return {
    fixed: spread * work,
    of: {
      transaction: spread,
      commit: writing,
      conflict: cores > 1 ? writing : 0,
      alone: writing * work * (1 - 1 / cores),
    },
  };
}

function workOf(parts: readonly ObjectPart[], input: CostInput): number {
  const { traffic } = input;
  const isAssumed = traffic === undefined || traffic.packets === 0;
  const instruction = isAssumed
    ? assumedInstructions
    : traffic.instructions / traffic.packets;
  const program = timeOf({ fixed: 0, of: { packet: 1, instruction } });
  return parts.reduce((sum, part) => sum + touchTime(part, input), program);
}

/** As many as a small network function's common path has. */
const assumedInstructions = 60;

const touchTime = (part: ObjectPart, input: CostInput): number =>
  timeOf(touchTerms(part, input));

/** Look-ups in the object, and entries made there, per packet. */
export function touchTerms(
  { object, layout }: Pick<ObjectPart, "object" | "layout">,
  { traffic, types }: Pick<CostInput, "traffic" | "types">,
): Terms {
  const type = types?.get(object) ?? "hash";
  const kind = type.includes("array") ? "array" : "hash";
  const known = traffic !== undefined && traffic.packets > 0;
  const { cells = 0, entries = 0 } = known
    ? (traffic.touches[object] ?? {})
    : { cells: 1 };
  const lookups = known ? cells / traffic.packets : cells;
  return {
    fixed: 0,
    of: {
      [kind]: lookups,
      ...(layout === "per-cpu" ? { copy: lookups } : {}),
      entry: known ? entries / traffic.packets : 0,
    },
  };
}

const rounded = (value: number): number => Math.round(value * 10) / 10;
