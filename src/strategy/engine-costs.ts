/** What things take on the portable engine, in ns: the numbers of the cost model (cost.ts). */
export interface EngineCost {
  readonly ns: number;
  /** 90 % interval. */
  readonly interval: readonly [number, number];
}

// prettier-ignore
export const engineCosts = {
  packet:      { ns: 5.5,  interval: [5.5, 5.5] },
  instruction: { ns: 0.25, interval: [0.25, 0.25] },
  array:       { ns: 2,    interval: [2, 2] },
  hash:        { ns: 10,   interval: [10, 10] },
  entry:       { ns: 20,   interval: [20, 20] },
  copy:        { ns: 0.5,  interval: [0.5, 0.5] },
  lockReader:  { ns: 9,    interval: [9, 9] },
  lockWriter:  { ns: 10,   interval: [10, 10] },
  lockOther:   { ns: 33,   interval: [33, 33] },
  transaction: { ns: 5,    interval: [5, 5] },
  commit:      { ns: 10,   interval: [10, 10] },
  conflict:    { ns: 33,   interval: [33, 33] },
} as const satisfies Readonly<Record<string, EngineCost>>;

export const engineCostsSource = "bench/results/engines.json";
