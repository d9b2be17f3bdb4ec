/**
 * Statistics of measurements: medians, and how sure one may be of them.
 *
 * Times have long tails and several modes, so nothing here assumes a distribution: an
 * interval is that of the percentile bootstrap, which draws samples with replacement
 * as often as there are any, takes the median, and does so again and again. Seeded:
 * the same samples give the same interval.
 *
 * A change between two runs is judged more carefully, since samples taken one after
 * the other hang together: whole blocks of neighbours are drawn, and the interval is
 * widened by how far the median moved between the halves of each run.
 *
 * Not promised: that the interval holds 95 times in 100 with very few samples; below
 * `fewestForInterval` nobody may show one.
 *
 * Source: B. Efron, R. Tibshirani, An Introduction to the Bootstrap (1993), chapters 8
 * (blocks) and 13.
 */
import { Bug, Random } from "../base/index.ts";

export type Interval = readonly [low: number, high: number];

/** Of 2 to 4 samples the extremes hold the median 50 to 87 times in 100 only. */
export const fewestForInterval = 8;

/** Value below which `part` of the values lie, interpolated between neighbours. */
export function quantile(values: readonly number[], part: number): number {
  return quantileOfSorted(
    values.toSorted((a, b) => a - b),
    part,
  );
}

export function median(values: readonly number[]): number {
  return quantile(values, 0.5);
}

function quantileOfSorted(sorted: ArrayLike<number>, part: number): number {
  const last = sorted.length - 1;
  if (last < 0) throw new Bug("a quantile of nothing");
  const at = Math.min(1, Math.max(0, part)) * last;
  const low = sorted[Math.floor(at)] ?? 0;
  const high = sorted[Math.ceil(at)] ?? 0;
  return low + (high - low) * (at - Math.floor(at));
}

export interface BootstrapOptions {
  readonly seed: number;
  /** Default 2,000. */
  readonly rounds?: number;
  /** Default 0.95. */
  readonly confidence?: number;
}

/** Interval of the median. */
export function medianInterval(
  values: readonly number[],
  options: BootstrapOptions,
): Interval {
  const random = new Random(options.seed);
  return bootstrap(options, () => medianOf(resample(values, random)));
}

/**
 * Interval of median(after) / median(before) − 1; the two were measured apart, their
 * samples in this order.
 */
export function changeInterval(
  before: readonly number[],
  after: readonly number[],
  options: BootstrapOptions,
): Interval {
  const random = new Random(options.seed);
  const [low, high] = bootstrap(
    options,
    () =>
      medianOf(resampleBlocks(after, random)) /
      medianOf(resampleBlocks(before, random)),
  );
  const drift = (1 + driftOf(before)) * (1 + driftOf(after));
  return [low / drift - 1, high * drift - 1];
}

/** How far the median moved from one half to the other: 0.1 is 10 %, either way. */
function driftOf(values: readonly number[]): number {
  const middle = Math.floor(values.length / 2);
  if (middle === 0) return 0;
  const first = median(values.slice(0, middle));
  const second = median(values.slice(values.length - middle));
  return Math.max(first / second, second / first) - 1;
}

/** Interval of median(values) − median(base). */
export function differenceInterval(
  values: readonly number[],
  base: readonly number[],
  options: BootstrapOptions,
): Interval {
  const random = new Random(options.seed);
  return bootstrap(
    options,
    () => medianOf(resample(values, random)) - medianOf(resample(base, random)),
  );
}

function bootstrap(
  { rounds = 2000, confidence = 0.95 }: BootstrapOptions,
  draw: () => number,
): Interval {
  const drawn = Float64Array.from({ length: rounds }, draw).sort();
  const tail = (1 - confidence) / 2;
  return [quantileOfSorted(drawn, tail), quantileOfSorted(drawn, 1 - tail)];
}

/** As many values, each drawn from all of them. */
export function resample(
  values: readonly number[],
  random: Random,
): Float64Array {
  return Float64Array.from(
    values,
    () => values[random.below(values.length)] ?? 0,
  );
}

/** As many values, in runs of √n neighbours; the last is a neighbour of the first. */
function resampleBlocks(
  values: readonly number[],
  random: Random,
): Float64Array {
  const block = Math.max(1, Math.round(Math.sqrt(values.length)));
  let from = 0;
  return Float64Array.from(values, (_, index) => {
    if (index % block === 0) from = random.below(values.length);
    return values[(from + (index % block)) % values.length] ?? 0;
  });
}

function medianOf(values: Float64Array): number {
  return quantileOfSorted(values.sort(), 0.5);
}
