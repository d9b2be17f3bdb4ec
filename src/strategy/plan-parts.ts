/** Parts of a plan that follow from what was chosen. */
import type { CoreNumber, StateObject } from "../analysis/index.ts";
import { isGuarded } from "./candidates.ts";
import type { Attempt } from "./attempt.ts";
import type { Estimate } from "./cost.ts";
import type {
  Deviation,
  ObjectPart,
  PlanCost,
  Port,
  Rejected,
  Runtime,
  StrategyName,
} from "./plan.ts";
import { engineCostsSource } from "./engine-costs.ts";
import { largestFlow, ownWrites, type TrafficFacts } from "./traffic-facts.ts";

/** A candidate with what it would cost; without an attempt: one core. */
export interface Priced extends Estimate {
  readonly attempt: Attempt | undefined;
  readonly parts: readonly ObjectPart[];
  /** Load of the busiest core over the mean. */
  readonly skew: number;
  /** Share of the table entry with most packets; absent: not measured. */
  readonly largestEntry?: number;
}

/** Guarded objects have one guard: a transaction's, if any asks for it. */
export function runtimeOf(
  parts: readonly ObjectPart[],
  objects: readonly StateObject[],
): Runtime {
  const named = (name: StrategyName): readonly string[] =>
    parts.flatMap(({ object, strategy }) => (strategy === name ? object : []));
  const guarded = [...named("lock"), ...named("transaction")];
  if (guarded.length === 0) return { kind: "plain" };
  const writers = new Map(
    objects
      .filter(({ name }) => guarded.includes(name))
      .flatMap(({ accesses }) => accesses)
      .filter(({ op }) => op !== "lookup" && op !== "read")
      .map(({ guard }) => [guard.text, guard]),
  );
  return {
    kind: named("transaction").length === 0 ? "lock" : "transaction",
    objects: guarded,
    writers: [...writers.values()],
  };
}

/** Spreading packets by a hash is sharding, even where any hash will do. */
export function overall(parts: readonly ObjectPart[]): StrategyName {
  const names = parts.map(({ strategy }) => strategy);
  for (const name of ["transaction", "lock", "shard"] as const)
    if (names.includes(name)) return name;
  return names.includes("merge") ? "merge" : "shard";
}

export function rejectedOf(other: Priced, chosen: Priced): Rejected {
  const strategy =
    other.attempt === undefined ? "sequential" : overall(other.parts);
  const what =
    other.attempt === undefined ? "one core" : wordsFor(other.attempt);
  const more =
    other.total >= chosen.total
      ? ""
      : strategy === "transaction"
        ? ", and may run packets again"
        : ", and makes more packets wait";
  const takes = `takes ${other.total} ns a packet, this plan ${chosen.total}${more}`;
  return { strategy, reason: `${what} ${takes}`, cost: other.total };
}

/** `a lock around stations and stations_chain`. */
function wordsFor({ choices, parts }: Attempt): string {
  if (!isGuarded(choices)) return "what needs no guard";
  const names = parts
    .filter(({ strategy }) => strategy === "lock" || strategy === "transaction")
    .map(({ object }) => object)
    .toSorted();
  return `a ${overall(parts)} around ${names.join(", ")}`;
}

export function withCost(part: ObjectPart, { objects }: Estimate): ObjectPart {
  const cost = objects.get(part.object);
  return cost === undefined ? part : { ...part, cost };
}

export function costOf(
  { total, writing, skew, largestEntry }: Priced,
  {
    traffic,
    ports,
    objects,
  }: {
    readonly traffic: TrafficFacts | undefined;
    readonly ports: readonly Port[];
    readonly objects: readonly StateObject[];
  },
): PlanCost {
  const common = {
    nsPerPacket: total,
    busiest: Math.round(skew * 100) / 100,
    writing: share(writing),
    source: engineCostsSource,
  };
  if (traffic === undefined)
    return {
      ...common,
      from: "assumed, without a trace: evenly spread, 2 of 100 packets write",
    };
  const flow = largestFlow(traffic);
  return {
    ...common,
    from: `measured on ${traffic.packets.toLocaleString("en")} packets of the trace`,
    traffic: {
      packets: traffic.packets,
      warmUp: traffic.warmUp ?? 0,
      ports: ports.flatMap(({ name }, at) => {
        const packets = traffic.ports?.[at];
        return packets === undefined ? [] : [{ name, packets }];
      }),
      ...(flow === undefined ? {} : { largestFlow: share(flow) }),
      ...(largestEntry === undefined
        ? {}
        : { largestEntry: share(largestEntry) }),
      objects: objects
        .filter(({ access, channel }) => access !== "none" && channel !== true)
        .map(({ name }) => {
          const { written, refreshed } = ownWrites(traffic, name);
          const touched =
            (traffic.touches[name]?.packets ?? 0) / (traffic.packets || 1);
          return {
            name,
            touched: share(touched),
            written: share(written),
            refreshed: share(refreshed),
          };
        }),
    },
  };
}

const share = (value: number): number => Math.round(value * 10_000) / 10_000;

export function coreNumberDeviations(
  numbers: readonly CoreNumber[],
): readonly Deviation[] {
  return numbers.map((what) => coreNumber[what]);
}

// prettier-ignore
const coreNumber: Readonly<Record<CoreNumber, Deviation>> = {
  cpu: { code: "core-number", text: "the program reads the number of its CPU: what depends on it differs from one core's run" },
  queue: { code: "core-number", text: "the program reads the number of the receive queue: what depends on it differs from one core's run" },
};
