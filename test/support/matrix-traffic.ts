/**
 * Five kinds of traffic for one network function: flows that come back evenly, by Zipf,
 * answered in both directions, one after the other with an expiry in between, and more
 * than its tables take. Each from the function's own mix (nf-mixes.ts), so that what
 * trips its parser is in all of them.
 */
import type { PacketInput } from "#interp";
import { withAnswers, type AnsweredPackets } from "./answers.ts";
import { nfTraffic, type TrafficMix } from "./nf-traffic.ts";

export const trafficKinds = [
  "uniform",
  "zipf",
  "bidirectional",
  "churn",
  "full tables",
] as const;
export type TrafficKind = (typeof trafficKinds)[number];

const changes: Readonly<Record<TrafficKind, TrafficMix>> = {
  uniform: { flows: 100, parts: { burst: 0, lapse: 0, echo: 0 } },
  zipf: { flows: 100, skew: 1.2, parts: { burst: 0, lapse: 0, echo: 0 } },
  bidirectional: { flows: 40, parts: { known: 600, lapse: 0.2, echo: 1 } },
  churn: { parts: { fresh: 300, lapse: 20, echo: 30, burst: 2 } },
  "full tables": { parts: { fresh: 100, burst: 12, lapse: 3 } },
};

const answered: Readonly<Record<TrafficKind, number>> = {
  uniform: 0.1,
  zipf: 0.1,
  bidirectional: 0.8,
  churn: 0.3,
  "full tables": 0.2,
};

export interface MatrixEpisode extends AnsweredPackets {
  readonly name: TrafficKind;
}

export function matrixTraffic(
  mix: TrafficMix,
  kind: TrafficKind,
  options: {
    readonly seed: number;
    readonly count: number;
    readonly cover?: readonly PacketInput[];
  },
): MatrixEpisode {
  const change = changes[kind];
  const parts = { ...mix.parts, ...change.parts };
  const flows = Math.max(mix.flows ?? 0, change.flows ?? 0);
  const packets = nfTraffic(
    { ...mix, ...change, parts, ...(flows === 0 ? {} : { flows }) },
    options,
  );
  const { seed } = options;
  const more = withAnswers(packets, { seed, share: answered[kind] });
  // Nobody runs backwards, whoever was put between.
  return { name: kind, ...more };
}
