/**
 * Where the host had put two virtual CPUs, told by how long a cache line takes from
 * one to the other and back.
 *
 * Under one last-level cache a round trip of an atomic word takes 100–150 ns, across
 * two of them 300–550; a host moves virtual CPUs every few seconds to minutes, and
 * every contended figure follows. The border is the machine's own: the widest gap (by
 * ratio) in what was seen, where it is wide enough to be two modes; otherwise two
 * fixed borders with a "we do not know" between.
 */

/** `single`: one core, so nothing to be near to. */
export type Placement = "single" | "near" | "far" | "untagged";

/** Two modes lie at least this far apart. */
const gapRatio = 1.8;
const surelyNear = 200;
const surelyFar = 270;
/** A gap counts between these: below and above nobody has two modes. */
const leastBorder = 150;
const mostBorder = 900;

/** Nanoseconds under which a round trip is near and above which it is far. */
export interface Borders {
  readonly near: number;
  readonly far: number;
}

export function placementBorders(roundTrips: readonly number[]): Borders {
  const sorted = roundTrips.filter((ns) => ns > 0).sort((a, b) => a - b);
  let best = { ratio: gapRatio, near: surelyNear, far: surelyFar };
  for (const [index, low] of sorted.entries()) {
    const high = sorted[index + 1];
    if (high === undefined || high / low < best.ratio) continue;
    const middle = Math.sqrt(low * high);
    if (middle < leastBorder || middle > mostBorder) continue;
    best = { ratio: high / low, near: middle, far: middle };
  }
  return { near: best.near, far: best.far };
}

/** Near or far only if all round trips around a sample agree. */
export function placementOf(
  roundTrips: readonly number[],
  borders: Borders,
): Placement {
  if (roundTrips.length === 0) return "single";
  if (roundTrips.every((ns) => ns > 0 && ns < borders.near)) return "near";
  if (roundTrips.every((ns) => ns > borders.far)) return "far";
  return "untagged";
}
