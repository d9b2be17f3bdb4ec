/**
 * Two results of `bench`, point by point. Partners agree in program, engine, strategy,
 * state, cores, what is included, and placement: near against far would compare two
 * states of the host. What was modelled is nothing to compare, and is not looked at.
 *
 * The change is that of the median time per packet, its interval the bootstrap's.
 * `worse` and `better` want a change beyond the threshold and an interval that leaves
 * out no change; on a busy machine also a difference of the medians beyond the spreads
 * of both runs together, for what else ran there differs from run to run and no
 * interval of one run knows it. `unclear` is a change beyond it that may be chance.
 */
import {
  changeInterval,
  fewestForInterval,
  median,
  quantile,
} from "../engine/index.ts";
import { isBusy } from "./bench-busy.ts";
import type { ResultFile, ResultPoint } from "./bench-file.ts";

export type Verdict = "worse" | "better" | "same" | "unclear";

export interface Pair {
  readonly point: ResultPoint;
  /** Where the CPUs were, if that differs and was to be put up with. */
  readonly placements?: readonly [before: string, after: string];
  readonly before: number;
  readonly after: number;
  /** Of the time per packet: 0.05 is 5 % slower. */
  readonly change: number;
  /** Empty where a run has too few samples for one. */
  readonly ci95: readonly number[];
  readonly verdict: Verdict;
}

export interface Comparison {
  readonly pairs: readonly Pair[];
  /** Measured points without a partner, in words. */
  readonly unpaired: readonly {
    readonly file: string;
    readonly point: string;
    readonly why: string;
    readonly fix?: string;
    /** How many it has itself, where these are too few. */
    readonly fewSamples?: number;
  }[];
  readonly warnings: readonly string[];
}

/** A median of fewer samples says nothing. */
const fewest = 3;

export interface CompareOptions {
  readonly threshold: number;
  readonly seed: number;
  /** Pairs points of different placement too, where no other partner is left. */
  readonly anyPlacement?: boolean;
}

export function compareResults(
  before: ResultFile,
  after: ResultFile,
  options: CompareOptions,
): Comparison {
  const paired = new Set<ResultPoint>();
  const busy = isBusy(before.machine) || isBusy(after.machine);
  const pairBy = (nameOf: (point: ResultPoint) => string): readonly Pair[] => {
    const left = ({ points }: ResultFile) =>
      inOrder(
        points.filter((point) => !paired.has(point)),
        nameOf,
      );
    const partners = left(after);
    return [...left(before)].flatMap(([key, point]) => {
      const partner = partners.get(key);
      if (partner === undefined || !isFit(point) || !isFit(partner)) return [];
      paired.add(point).add(partner);
      return [pairOf(point, partner, { ...options, busy })];
    });
  };
  const pairs = [
    ...pairBy(keyOf),
    ...(options.anyPlacement === true ? pairBy(sameButPlaced) : []),
  ];
  const left = (file: ResultFile, other: ResultFile) =>
    file.points
      .filter((point) => point.real && !paired.has(point))
      .map((point) => ({
        file: file.path,
        point: pointText(point),
        ...reasonOf(point, other),
      }));
  return {
    pairs,
    unpaired: [...left(before, after), ...left(after, before)],
    warnings: warningsOf(before, after),
  };
}

function pairOf(
  before: ResultPoint,
  after: ResultPoint,
  { threshold, seed, busy }: CompareOptions & { readonly busy: boolean },
): Pair {
  const change = median(after.samples) / median(before.samples) - 1;
  const runs = [before.samples, after.samples];
  const ci95 = runs.every(({ length }) => length >= fewestForInterval)
    ? changeInterval(before.samples, after.samples, { seed })
    : [];
  const [low = 0, high = 0] = ci95;
  const spread = runs.reduce((sum, run) => sum + spreadOf(run), 0);
  const apart = Math.abs(median(after.samples) - median(before.samples));
  const isSure = (low > 0 || high < 0) && (!busy || apart > spread);
  const isLarge = Math.abs(change) > threshold;
  const direction = change > 0 ? "worse" : "better";
  return {
    point: before,
    ...(before.placement === after.placement
      ? {}
      : { placements: [before.placement, after.placement] as const }),
    before: median(before.samples),
    after: median(after.samples),
    change,
    ci95,
    verdict: isLarge ? (isSure ? direction : "unclear") : "same",
  };
}

/** What lies between the tenths at both ends. */
function spreadOf(samples: readonly number[]): number {
  return quantile(samples, 0.9) - quantile(samples, 0.1);
}

/** By name; of several with one name the n-th pairs with the n-th. */
function inOrder(
  points: readonly ResultPoint[],
  nameOf: (point: ResultPoint) => string,
): ReadonlyMap<string, ResultPoint> {
  const named = new Map<string, ResultPoint>();
  const counts = new Map<string, number>();
  for (const point of points) {
    const key = nameOf(point);
    const number = counts.get(key) ?? 0;
    counts.set(key, number + 1);
    named.set(`${key}\0${number}`, point);
  }
  return named;
}

function isFit(point: ResultPoint): boolean {
  return point.real && point.samples.length >= fewest;
}

function keyOf(point: ResultPoint): string {
  return `${sameButPlaced(point)}\0${point.placement}`;
}

function sameButPlaced(point: ResultPoint): string {
  const { program, engine, strategy, state, cores, includes } = point;
  return [program, engine, strategy, state, cores, includes].join("\0");
}

export function pointText(
  point: ResultPoint,
  placement: string = point.placement,
): string {
  const { program, engine, strategy, state, cores } = point;
  return `${program} ${engine} ${strategy} ${state}, ${cores} ${cores === 1 ? "core" : "cores"}, ${placement}`;
}

/** Why a point of a file has no partner in the other; the first file is where to look. */
function reasonOf(
  point: ResultPoint,
  other: ResultFile,
): {
  readonly why: string;
  readonly fix?: string;
  readonly fewSamples?: number;
} {
  const more = "measure with bench --seconds longer";
  if (point.samples.length < fewest)
    return {
      why: `it has ${samplesText(point)} here, ${fewest} are needed`,
      fix: more,
      fewSamples: point.samples.length,
    };
  const partner = other.points.find(
    (candidate) => keyOf(candidate) === keyOf(point),
  );
  if (partner?.real === true)
    return {
      why: `${other.path} has ${samplesText(partner)} of it, ${fewest} are needed`,
      fix: more,
    };
  const placed = other.points.filter(
    (candidate) =>
      candidate.real && sameButPlaced(candidate) === sameButPlaced(point),
  );
  return placed.length > 0
    ? {
        why: `${other.path} has it ${placed.map(({ placement }) => placement).join(", ")} only`,
        fix: `${more} to meet both placements, or compare --placement any`,
      }
    : { why: `not in ${other.path}` };
}

function samplesText({ samples }: ResultPoint): string {
  return `${samples.length} ${samples.length === 1 ? "sample" : "samples"}`;
}

function warningsOf(before: ResultFile, after: ResultFile): string[] {
  const differing = ["cpu", "cpus", "kernel", "node", "governor", "virtual"]
    .filter((name) => before.machine[name] !== after.machine[name])
    .map(
      (name) =>
        `${name} ${String(before.machine[name])} against ${String(after.machine[name])}`,
    );
  const busy = [before, after]
    .filter(({ machine }) => isBusy(machine))
    .map(
      ({ path, machine }) =>
        `${path} was measured on a busy machine (load ${String(machine["loadAverage"])})`,
    );
  return [
    ...(differing.length > 0
      ? [`different machines: ${differing.join("; ")}`]
      : []),
    ...(before.trace === after.trace
      ? []
      : [`different traces: ${before.trace} against ${after.trace}`]),
    ...busy,
  ];
}
