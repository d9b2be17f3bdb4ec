/** Least squares with nothing negative, for a handful of unknowns. */

/** Coefficients of the unknowns, and what they should sum to; weighted by 1 / scale. */
export interface Equation {
  readonly coefficients: readonly number[];
  readonly value: number;
  readonly scale: number;
}

const rounds = 4000;

/** Unknowns ≥ 0 with the least sum of squared errors over scale, one at a time. */
export function nonNegative(
  equations: readonly Equation[],
  unknowns: number,
): number[] {
  const square = Array.from({ length: unknowns }, () =>
    Array.from({ length: unknowns }, (): number => 0),
  );
  const right = Array.from({ length: unknowns }, (): number => 0);
  for (const { coefficients, value, scale } of equations)
    for (let row = 0; row < unknowns; row++) {
      const own = (coefficients[row] ?? 0) / scale ** 2;
      if (own === 0) continue;
      right[row] = (right[row] ?? 0) + own * value;
      const line = square[row] ?? [];
      for (let at = 0; at < unknowns; at++)
        line[at] = (line[at] ?? 0) + own * (coefficients[at] ?? 0);
    }
  const found = Array.from({ length: unknowns }, (): number => 0);
  for (let round = 0; round < rounds; round++)
    for (let at = 0; at < unknowns; at++) {
      const line = square[at] ?? [];
      const own = line[at] ?? 0;
      if (own === 0) continue;
      let rest = right[at] ?? 0;
      for (let other = 0; other < unknowns; other++)
        if (other !== at) rest -= (line[other] ?? 0) * (found[other] ?? 0);
      found[at] = Math.max(0, rest / own);
    }
  return found;
}
