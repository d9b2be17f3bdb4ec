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
 *                an attempt as readers:
 *                spread · ((1 − writing) · (work + reader) + writing · (work/2 + reader))
 *                + writing · (work + writer + other · (cores − 1))
 *   transaction  all side by side; those that another's commit met run again; who
 *                commits is alone from its first write on:
 *                spread · (work + transaction + met · (work + conflict))
 *                + writing · (commit + what of work/2 is not side by side)
 *                where met = min(1, writing · (cores − 1))
 *
 * The numbers are engine-costs.ts, whose source is a benchmark's result. Good for
 * ranking strategies of one program, not for predicting rates: a figure of the portable
 * engine says nothing about the kernel's.
 */
import { engineCosts } from "./engine-costs.ts";
import type { ObjectPart, StrategyName } from "./plan.ts";
import { writeShare, type TrafficFacts } from "./traffic-facts.ts";

const ns = (name: keyof typeof engineCosts): number => engineCosts[name].ns;

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
      : isTransaction
        ? transactionTime(run)
        : lockTime(run);
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

/** Of its work that an attempt has done when it meets its first write. */
const untilWrite = 0.5;

export function lockTime({ work, spread, cores, writing }: GuardedRun): number {
  const reader = work + ns("lockReader");
  // Where the last four were in vain, sixteen go without an attempt.
  const tried = writing * (1 - (16 / 17) * writing ** 4);
  const attempt = untilWrite * work + ns("lockReader");
  const writer = work + ns("lockWriter") + (cores - 1) * ns("lockOther");
  return spread * ((1 - writing) * reader + tried * attempt) + writing * writer;
}

export function transactionTime({
  work,
  spread,
  cores,
  writing,
}: GuardedRun): number {
  const met = Math.min(1, writing * (cores - 1));
  const once = work + ns("transaction");
  const again = met * (work + ns("conflict"));
  const alone = (1 - untilWrite) * work * (1 - 1 / cores);
  return spread * (once + again) + writing * (ns("commit") + alone);
}

function workOf(parts: readonly ObjectPart[], input: CostInput): number {
  const { traffic } = input;
  const instructions =
    traffic === undefined || traffic.packets === 0
      ? assumedInstructions
      : traffic.instructions / traffic.packets;
  return (
    ns("packet") +
    ns("instruction") * instructions +
    parts.reduce((sum, part) => sum + touchTime(part, input), 0)
  );
}

/** As many as a small network function's common path has. */
const assumedInstructions = 60;

/** Look-ups in the object, and entries made there. */
function touchTime(
  { object, layout }: ObjectPart,
  { traffic, types }: CostInput,
): number {
  const type = types?.get(object) ?? "hash";
  const lookup =
    ns(type.includes("array") ? "array" : "hash") +
    (layout === "per-cpu" ? ns("copy") : 0);
  if (traffic === undefined || traffic.packets === 0) return lookup;
  const { cells = 0, entries = 0 } = traffic.touches[object] ?? {};
  return (cells * lookup + entries * ns("entry")) / traffic.packets;
}

const rounded = (value: number): number => Math.round(value * 10) / 10;
