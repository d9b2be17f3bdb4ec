/**
 * What a plan costs: estimated time per packet over all cores (the inverse of what
 * they do together), on the portable engine, which has every strategy.
 *
 *   spread    the busiest core's share of the packets: 1 on one core
 *   work      what the sequential program takes for a packet
 *   plain     spread · work
 *   lock      packets that write run alone, after an attempt as readers; all others
 *             side by side, each with its own token
 *   transaction  as plain, and again for those that met another's write
 *
 * Good for ranking strategies of one program, not for predicting rates: a figure of
 * the portable engine says nothing about the kernel's.
 */
import type { ObjectPart, StrategyName } from "./plan.ts";
import { writeShare, type TrafficFacts } from "./traffic-facts.ts";

interface Cost {
  readonly ns: number;
  /** The measurement it is from. */
  readonly source: string;
}

// prettier-ignore
export const engineCosts = {
  packet:      { ns: 5.5,  source: "bench/results/engines.json: an empty program, portable" },
  instruction: { ns: 0.25, source: "bench/results/engines.json: mixing over nop, portable" },
  cell:        { ns: 4,    source: "bench/results/engines.json: ddos_mitigator, two look-ups and their changes, portable" },
  entry:       { ns: 20,   source: "bench/results/portable.json: port_knock under churn over uniform" },
  copy:        { ns: 0.5,  source: "bench/results/engines.json: percpu_array over array, one core" },
  ownLine:     { ns: 9,    source: "bench/results/engines.json: two atomic instructions on a line that no other core has" },
  otherLine:   { ns: 33,   source: "bench/results/engines.json: array_atomics, one key, two near cores over one" },
} as const satisfies Readonly<Record<string, Cost>>;

const ns = (name: keyof typeof engineCosts): number => engineCosts[name].ns;

export interface CostInput {
  readonly cores: number;
  /** Load of the busiest core over the mean. */
  readonly skew: number;
  readonly traffic?: TrafficFacts;
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
  { cores, skew, traffic }: CostInput,
): Estimate {
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
  const work = workOf(parts, traffic);
  const total =
    guarded.length === 0
      ? spread * work
      : (isTransaction ? transactionTime : lockTime)({
          work,
          spread,
          cores,
          writing,
        });
  const guard = total - spread * work;
  const objects = new Map(
    parts.map((part) => [
      part.object,
      rounded(
        spread * touchTime(part.object, traffic) +
          (part.layout === "per-cpu" ? spread * ns("copy") : 0) +
          (names.has(part.object) ? guard / names.size : 0),
      ),
    ]),
  );
  return { total: rounded(total), objects, writing };
}

const isGuard = (name: StrategyName): boolean =>
  name === "lock" || name === "transaction";

interface Guarded {
  readonly work: number;
  readonly spread: number;
  readonly cores: number;
  readonly writing: number;
}

function lockTime({ work, spread, cores, writing }: Guarded): number {
  const reader = work + ns("ownLine");
  // Every other core's token, and the mutex.
  const writer = work + ns("ownLine") + cores * ns("otherLine");
  const attempt = work / 2 + ns("ownLine");
  return (
    (1 - writing) * reader * spread + writing * (writer + attempt * spread)
  );
}

function transactionTime({ work, spread, cores, writing }: Guarded): number {
  // Another core wrote since this packet began: the version moved, and it runs again.
  const met = Math.min(1, writing * (cores - 1));
  const once = work + ns("ownLine") + 2 * met * ns("otherLine");
  const alone = work / 2 + ns("otherLine") + met * met * work;
  return once * (1 + met) * spread + writing * alone;
}

function workOf(
  parts: readonly ObjectPart[],
  traffic: TrafficFacts | undefined,
): number {
  const instructions =
    traffic === undefined || traffic.packets === 0
      ? assumedInstructions
      : traffic.instructions / traffic.packets;
  return (
    ns("packet") +
    ns("instruction") * instructions +
    parts.reduce((sum, { object }) => sum + touchTime(object, traffic), 0)
  );
}

/** As many as a small network function's common path has. */
const assumedInstructions = 60;

function touchTime(object: string, traffic: TrafficFacts | undefined): number {
  if (traffic === undefined || traffic.packets === 0) return ns("cell");
  const { cells = 0, entries = 0 } = traffic.touches[object] ?? {};
  return (cells * ns("cell") + entries * ns("entry")) / traffic.packets;
}

const rounded = (value: number): number => Math.round(value * 10) / 10;
