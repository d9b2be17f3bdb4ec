/**
 * What things take on the portable engine: the constants of the cost model (cost.ts).
 * Written by scripts/engine-costs.mjs from bench/results/cost.json, where that is; do not
 * edit.
 */
interface EngineCost {
  readonly value: number;
  /** Nanoseconds, or a share of the program's work. */
  readonly unit: "ns" | "of work";
  /** What it is from. */
  readonly source: string;
}

export const engineCostsSource = "bench/results/engines.json, portable.json";

// prettier-ignore
export const engineCosts = {
  packet:      { value: 5.5, unit: "ns", source: "engines.json: an empty program" },
  instruction: { value: 0.25, unit: "ns", source: "engines.json: mixing over nop" },
  array:       { value: 4, unit: "ns", source: "engines.json: ddos_mitigator, two look-ups and their changes" },
  hash:        { value: 4, unit: "ns", source: "engines.json: ddos_mitigator, two look-ups and their changes" },
  entry:       { value: 20, unit: "ns", source: "portable.json: port_knock under churn over uniform" },
  copy:        { value: 0.5, unit: "ns", source: "engines.json: percpu_array over array, one core" },
  lockReader:  { value: 9, unit: "ns", source: "engines.json: two atomic instructions on a line that no other core has" },
  lockAttempt: { value: 0.5, unit: "of work", source: "assumed: the first write is in the middle" },
  lockWriter:  { value: 9, unit: "ns", source: "engines.json: as lockReader" },
  lockOther:   { value: 33, unit: "ns", source: "engines.json: array_atomics, one key, two near cores over one" },
  transaction: { value: 9, unit: "ns", source: "engines.json: as lockReader" },
  commit:      { value: 33, unit: "ns", source: "engines.json: as lockOther" },
  conflict:    { value: 66, unit: "ns", source: "engines.json: twice lockOther, there and back" },
  alone:       { value: 1, unit: "of work", source: "assumed: who writes is alone from the start" },
} as const satisfies Readonly<Record<string, EngineCost>>;
