/**
 * Flow sizes of real traffic by rank, rebuilt from published figures: a window of a
 * backbone (CAIDA) and one of a campus (KTH), as sampled for FAJITA's experiments.
 *
 * What is given: the ten largest flows, how many flows have at least t packets, and the
 * share of packets in the 100 and 1,000 largest. What lies between is drawn as a curve in
 * each bracket of ranks, bent until the shares come out, then corrected by single
 * packets. So the figures hold to the packet, and nothing else is claimed.
 *
 *   rank   1 … 10 | 11 … 100 | 101 … 1,000 | behind        sums given by the shares
 *   size   given  | ≥ 50 …   | ≥ 20, ≥ 10 … | … 4, 3, 2, 1  steps given by the counts
 */
import { Bug } from "../base/index.ts";

export interface RankProfile {
  readonly packets: number;
  readonly flows: number;
  readonly largest: readonly number[];
  /** Flows with at least that many packets, largest size first. */
  readonly atLeast: readonly (readonly [size: number, flows: number])[];
  /** Percent of the packets in so many of the largest flows. */
  readonly share: { readonly hundred: number; readonly thousand: number };
}

// prettier-ignore
export const rankProfiles = {
  caida: {
    packets: 50_000, flows: 11_304,
    largest: [2427, 1210, 829, 682, 659, 604, 579, 444, 423, 414],
    atLeast: [[1000, 2], [500, 7], [200, 21], [100, 41], [50, 90], [20, 322], [10, 737], [5, 1575], [4, 2017], [3, 2720], [2, 4629], [1, 11_304]],
    share: { hundred: 36.6, thousand: 64.6 },
  },
  kth: {
    packets: 15_185, flows: 1770,
    largest: [1073, 955, 533, 360, 308, 287, 277, 250, 248, 242],
    atLeast: [[1000, 1], [500, 3], [200, 17], [100, 25], [50, 64], [20, 115], [10, 184], [5, 337], [4, 403], [3, 503], [2, 733], [1, 1770]],
    share: { hundred: 71.8, thousand: 94.93 }, // published as 94.9; the counts of small flows fix the rest
  },
} as const satisfies Record<string, RankProfile>;

/** Ranks from `first` up to but not including `end`, with the sizes they may have. */
interface Bracket {
  readonly first: number;
  readonly end: number;
  readonly least: number;
  readonly most: number;
}

/** Packets of each flow of one window, largest first. */
export function rankSizes(profile: RankProfile): Uint32Array {
  const sizes = Uint32Array.from({ length: profile.flows }, () => 1);
  sizes.set(profile.largest);
  const known = profile.largest.length;
  const sumTo = (percent: number): number =>
    Math.round((profile.packets * percent) / 100);
  const brackets = bracketsOf(profile);
  const ends = [100, 1000, profile.flows];
  const sums = [
    sumTo(profile.share.hundred),
    sumTo(profile.share.thousand),
    profile.packets,
  ];
  let first = known;
  let before = profile.largest.reduce((sum, size) => sum + size, 0);
  for (const [index, end] of ends.entries()) {
    const from = first;
    const own = brackets.flatMap((bracket) => clip(bracket, from, end));
    const wanted = (sums[index] ?? 0) - before;
    fill(sizes, own, wanted);
    before += sumOf(sizes.subarray(from, end));
    first = end;
  }
  return sizes;
}

function bracketsOf({ largest, atLeast }: RankProfile): Bracket[] {
  let most = largest.at(-1) ?? 1;
  let first = largest.length;
  const brackets: Bracket[] = [];
  for (const [least, flows] of atLeast) {
    if (flows > first) {
      brackets.push({ first, end: flows, least, most });
      first = flows;
    }
    most = Math.min(most, least - 1);
  }
  return brackets;
}

/** The part of a bracket in first … end; sizes are cut where the ranks are. */
function clip(bracket: Bracket, first: number, end: number): Bracket[] {
  const from = Math.max(bracket.first, first);
  const to = Math.min(bracket.end, end);
  if (from >= to) return [];
  const at = (rank: number): number => {
    const along = (rank - bracket.first) / (bracket.end - bracket.first);
    return Math.round(bracket.most * (bracket.least / bracket.most) ** along);
  };
  return [
    {
      first: from,
      end: to,
      most: from === bracket.first ? bracket.most : at(from),
      least: to === bracket.end ? bracket.least : at(to),
    },
  ];
}

/** Sizes of the brackets' ranks that fall and add up to `wanted`. */
function fill(
  sizes: Uint32Array,
  brackets: readonly Bracket[],
  wanted: number,
): void {
  let [low, high] = [0.01, 100];
  for (let round = 0; round < 60; round++) {
    const bend = Math.sqrt(low * high);
    const sum = brackets.reduce((all, it) => all + draw(sizes, it, bend), 0);
    // A stronger bend falls sooner.
    if (sum > wanted) low = bend;
    else high = bend;
  }
  let rest =
    wanted - brackets.reduce((all, it) => all + draw(sizes, it, high), 0);
  while (rest !== 0) {
    const step = Math.sign(rest);
    const before = rest;
    for (const { first, end, least, most } of brackets) {
      for (let rank = first; rank < end && rest !== 0; rank++) {
        const size = (sizes[rank] ?? 0) + step;
        if (size < least || size > most) continue;
        sizes[rank] = size;
        rest -= step;
      }
      sizes.subarray(first, end).sort().reverse();
    }
    if (rest === before) throw new Bug("flow sizes contradict their sum");
  }
}

/** From `most` down to `least`; answers the sum. */
function draw(sizes: Uint32Array, bracket: Bracket, bend: number): number {
  const { first, end, least, most } = bracket;
  let sum = 0;
  for (let rank = first; rank < end; rank++) {
    const left = end - first === 1 ? 0 : (end - 1 - rank) / (end - 1 - first);
    const size = Math.round(least + (most - least) * left ** bend);
    sizes[rank] = size;
    sum += size;
  }
  return sum;
}

function sumOf(sizes: Uint32Array): number {
  return sizes.reduce((sum, size) => sum + size, 0);
}
