/**
 * Two results of `bench`, point by point. Partners agree in program, engine, strategy,
 * state, cores, what is included, and placement: near against far would compare two
 * states of the host. What was modelled is nothing to compare, and is not looked at.
 *
 * The change is that of the median time per packet, its interval the bootstrap's.
 * `worse` and `better` want both: a change beyond the threshold, and an interval that
 * leaves out no change. `unclear` is a change beyond it that may be chance.
 */
import { changeInterval, median, type Interval } from "../engine/index.ts";
import type { ResultFile, ResultPoint } from "./bench-file.ts";

export type Verdict = "worse" | "better" | "same" | "unclear";

export interface Pair {
  readonly point: ResultPoint;
  readonly before: number;
  readonly after: number;
  /** Of the time per packet: 0.05 is 5 % slower. */
  readonly change: number;
  readonly ci95: Interval;
  readonly verdict: Verdict;
}

export interface Comparison {
  readonly pairs: readonly Pair[];
  /** Measured points without a partner, in words. */
  readonly unpaired: readonly {
    readonly file: string;
    readonly point: string;
    readonly why: string;
  }[];
  readonly warnings: readonly string[];
}

/** An interval of fewer samples says nothing. */
const fewest = 3;

export function compareResults(
  before: ResultFile,
  after: ResultFile,
  options: { readonly threshold: number; readonly seed: number },
): Comparison {
  const pairs: Pair[] = [];
  const paired = new Set<ResultPoint>();
  const partners = inOrder(after.points);
  for (const [key, point] of inOrder(before.points)) {
    const partner = partners.get(key);
    if (partner === undefined || !isFit(point) || !isFit(partner)) continue;
    paired.add(point).add(partner);
    pairs.push(pairOf(point, partner, options));
  }
  const left = (file: ResultFile, other: ResultFile) =>
    file.points
      .filter((point) => point.real && !paired.has(point))
      .map((point) => ({
        file: file.path,
        point: pointText(point),
        why: reasonOf(point, other),
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
  { threshold, seed }: { threshold: number; seed: number },
): Pair {
  const change = median(after.samples) / median(before.samples) - 1;
  const ci95 = changeInterval(before.samples, after.samples, { seed });
  const isSure = ci95[0] > 0 || ci95[1] < 0;
  const isLarge = Math.abs(change) > threshold;
  const direction = change > 0 ? "worse" : "better";
  return {
    point: before,
    before: median(before.samples),
    after: median(after.samples),
    change,
    ci95,
    verdict: isLarge ? (isSure ? direction : "unclear") : "same",
  };
}

/** By name; of several with one name the n-th pairs with the n-th. */
function inOrder(
  points: readonly ResultPoint[],
): ReadonlyMap<string, ResultPoint> {
  const named = new Map<string, ResultPoint>();
  const counts = new Map<string, number>();
  for (const point of points) {
    const key = keyOf(point);
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

export function pointText(point: ResultPoint): string {
  const { program, engine, strategy, state, cores, placement } = point;
  return `${program} ${engine} ${strategy} ${state}, ${cores} ${cores === 1 ? "core" : "cores"}, ${placement}`;
}

function reasonOf(point: ResultPoint, other: ResultFile): string {
  if (point.samples.length < fewest)
    return `${point.samples.length} samples are too few`;
  const partner = other.points.find(
    (candidate) => keyOf(candidate) === keyOf(point),
  );
  if (partner?.real === true)
    return `its partner has ${partner.samples.length} samples, too few`;
  const placed = other.points.filter(
    (candidate) =>
      candidate.real && sameButPlaced(candidate) === sameButPlaced(point),
  );
  return placed.length > 0
    ? `${other.path} has it ${placed.map(({ placement }) => placement).join(", ")} only`
    : `not in ${other.path}`;
}

function warningsOf(before: ResultFile, after: ResultFile): string[] {
  const differing = ["cpu", "cpus", "kernel", "node", "governor", "virtual"]
    .filter((name) => before.machine[name] !== after.machine[name])
    .map(
      (name) =>
        `${name} ${String(before.machine[name])} against ${String(after.machine[name])}`,
    );
  const busy = [before, after].flatMap(({ path, machine }) => {
    const { loadAverage, cpus } = machine;
    return typeof loadAverage === "number" &&
      typeof cpus === "number" &&
      loadAverage > cpus / 2
      ? [`${path} was measured on a busy machine (load ${loadAverage})`]
      : [];
  });
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
