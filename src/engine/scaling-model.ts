/**
 * A model of how throughput grows with cores, fitted to measured points, and how far
 * it is off on them. What it says of cores that were not measured is a guess of a
 * formula, to be drawn and labelled as such.
 *
 * Universal scalability law: X(N) = x N / (1 + s (N − 1) + k N (N − 1)) with the rate x
 * of one core, contention s (what only one does at a time; Amdahl's law if k = 0) and
 * coherence k (what every pair exchanges). N / X(N) is linear in a = 1/x, b = s/x and
 * c = k/x, so the fit is linear least squares of relative errors, with b, c ≥ 0. As
 * many terms as there are different numbers of cores beyond one: with a single number
 * of cores the model is a straight line, with two it has no coherence term, and with
 * as many terms as points the error on these says nothing (`freedom` 0).
 *
 * Source: N. Gunther, Guerrilla Capacity Planning (2007), chapters 4 and 5.
 */
import { Bug } from "../base/index.ts";

export interface ScalingPoint {
  readonly cores: number;
  readonly mpps: number;
}

export interface ScalingModel {
  readonly kind: "linear" | "amdahl" | "usl";
  /** Mpps of one core, as fitted. */
  readonly oneCore: number;
  readonly contention: number;
  readonly coherence: number;
  /** Largest relative error on the measured points. */
  readonly error: number;
  /** Points beyond those that the terms use up. */
  readonly freedom: number;
}

export function fitScaling(points: readonly ScalingPoint[]): ScalingModel {
  const sizes = new Set(points.map(({ cores }) => cores));
  if (points.some(({ cores, mpps }) => !(cores >= 1) || !(mpps > 0)))
    throw new Bug("a scaling model needs points with cores and packets");
  if (sizes.size === 0) throw new Bug("a scaling model of no points");
  const most = Math.min(3, sizes.size);
  // A term whose weight would be negative is left out.
  const choices = [[0, 1, 2], [0, 2], [0, 1], [0]].filter(
    (terms) => terms.length <= most && !(most < 3 && terms.includes(2)),
  );
  const fits = choices.flatMap((terms) => {
    const weights = leastSquares(points, terms);
    return weights?.every((weight, index) => index === 0 || weight >= 0) ===
      true && (weights[0] ?? 0) > 0
      ? [{ terms, weights, loss: lossOf(points, terms, weights) }]
      : [];
  });
  const best = fits.reduce<(typeof fits)[number] | undefined>(
    (found, fit) =>
      found === undefined || fit.loss < found.loss - 1e-12 ? fit : found,
    undefined,
  );
  if (best === undefined) throw new Bug("no scaling model fits");
  const weight = (term: number): number =>
    best.weights[best.terms.indexOf(term)] ?? 0;
  const model = {
    oneCore: 1 / weight(0),
    contention: weight(1) / weight(0),
    coherence: weight(2) / weight(0),
  };
  return {
    kind: most === 1 ? "linear" : most === 2 ? "amdahl" : "usl",
    ...model,
    error: Math.max(
      ...points.map(({ cores, mpps }) =>
        Math.abs(modelledMpps(model, cores) / mpps - 1),
      ),
    ),
    freedom: Math.max(0, points.length - most),
  };
}

export function modelledMpps(
  model: Pick<ScalingModel, "oneCore" | "contention" | "coherence">,
  cores: number,
): number {
  const { oneCore, contention, coherence } = model;
  const waiting = contention * (cores - 1) + coherence * cores * (cores - 1);
  return (oneCore * cores) / (1 + waiting);
}

function termOf(term: number, cores: number): number {
  return [1, cores - 1, cores * (cores - 1)][term] ?? 0;
}

/** Rows of relative error: Σ weight·term·(X/N) = 1. */
function rowOf(point: ScalingPoint, terms: readonly number[]): number[] {
  const scale = point.mpps / point.cores;
  return terms.map((term) => termOf(term, point.cores) * scale);
}

function lossOf(
  points: readonly ScalingPoint[],
  terms: readonly number[],
  weights: readonly number[],
): number {
  return points.reduce((sum, point) => {
    const row = rowOf(point, terms);
    const value = row.reduce((all, x, i) => all + x * (weights[i] ?? 0), 0);
    return sum + (value - 1) ** 2;
  }, 0);
}

/** Normal equations by elimination; undefined where they have no single solution. */
function leastSquares(
  points: readonly ScalingPoint[],
  terms: readonly number[],
): readonly number[] | undefined {
  const size = terms.length;
  const table = Array.from({ length: size }, () =>
    Array.from({ length: size + 1 }, () => 0),
  );
  for (const point of points) {
    const row = rowOf(point, terms);
    for (const [i, x] of row.entries()) {
      const line = table[i] ?? [];
      for (const [j, y] of row.entries()) line[j] = (line[j] ?? 0) + x * y;
      line[size] = (line[size] ?? 0) + x;
    }
  }
  for (let pivot = 0; pivot < size; pivot++) {
    const line = table[pivot] ?? [];
    const lead = line[pivot] ?? 0;
    if (Math.abs(lead) < 1e-12) return undefined;
    for (const [index, other] of table.entries()) {
      if (index === pivot) continue;
      const factor = (other[pivot] ?? 0) / lead;
      for (let column = pivot; column <= size; column++)
        other[column] = (other[column] ?? 0) - factor * (line[column] ?? 0);
    }
  }
  return table.map((line, index) => (line[size] ?? 0) / (line[index] ?? 1));
}
