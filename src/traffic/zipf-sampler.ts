/**
 * Ranks by Zipf's law, in constant time each.
 *
 * Source: M. Vose, A linear algorithm for generating random numbers with a given
 * distribution, 1991 (alias method).
 */
import type { Random } from "../base/index.ts";

/**
 * Ranks 0 … count − 1 with P(rank) ~ (rank + 1)^-skew: column i holds rank i up to `keep`, its alias above.
 */
export function zipfSampler(
  count: number,
  skew: number,
  random: Random,
): () => number {
  if (skew === 0 || count === 1) return () => random.below(count);
  const { keep, alias } = aliasTable(count, skew);
  return () => {
    const column = random.below(count);
    return random.unit() < (keep[column] ?? 1) ? column : (alias[column] ?? 0);
  };
}

function aliasTable(
  count: number,
  skew: number,
): { readonly keep: Float64Array; readonly alias: Uint32Array } {
  const keep = new Float64Array(count);
  let total = 0;
  for (let rank = 0; rank < count; rank++)
    total += keep[rank] = (rank + 1) ** -skew;
  const small: number[] = [];
  const large: number[] = [];
  for (let rank = 0; rank < count; rank++) {
    const scaled = ((keep[rank] ?? 0) * count) / total;
    keep[rank] = scaled;
    (scaled < 1 ? small : large).push(rank);
  }
  const alias = new Uint32Array(count);
  for (;;) {
    const low = small.pop();
    const high = large.pop();
    if (low === undefined || high === undefined) {
      // What is left over is 1 up to rounding.
      for (const rank of [low, high, ...small, ...large])
        if (rank !== undefined) keep[rank] = 1;
      return { keep, alias };
    }
    alias[low] = high;
    const rest = (keep[high] ?? 0) - (1 - (keep[low] ?? 0));
    keep[high] = rest;
    (rest < 1 ? small : large).push(high);
  }
}
