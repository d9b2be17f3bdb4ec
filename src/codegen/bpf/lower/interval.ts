/**
 * An interval that allocation works on, and the group that its pieces form.
 *
 * A group is one or more virtual registers that share one word: parameters of
 * blocks joined with their arguments where these never live at the same time.
 * Allocation cuts a group's interval into pieces; each piece is in one register
 * all the time, or on the stack, in the one slot of its group.
 */
import type { Register } from "../../../isa/index.ts";
import type { Range, UsePosition, Wish } from "./intervals.ts";

export class Group {
  /** Ascending; together they cover what the group covers. */
  readonly pieces: Interval[] = [];
  readonly wishes: readonly Wish[];
  isSpilled = false;
  /** Offset from r10, once it has one. */
  slot = 0;
  latest: Register | undefined;

  constructor(
    ranges: readonly Range[],
    uses: readonly UsePosition[],
    wishes: readonly Wish[],
  ) {
    this.wishes = wishes;
    this.pieces.push(new Interval(this, ranges, uses));
  }

  /** The piece to which a position belongs. */
  pieceAt(position: number): Interval | undefined {
    const { pieces } = this;
    let low = 0;
    let high = pieces.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if ((pieces[middle]?.start ?? 0) <= position) low = middle;
      else high = middle - 1;
    }
    return pieces[low];
  }
}

export class Interval {
  readonly group: Group;
  ranges: readonly Range[];
  uses: readonly UsePosition[];
  /** Undefined: on the stack, once it was handled. */
  register: Register | undefined;
  /** Index of the range that was looked at last. */
  #cursor = 0;

  constructor(
    group: Group,
    ranges: readonly Range[],
    uses: readonly UsePosition[],
  ) {
    this.group = group;
    this.ranges = ranges;
    this.uses = uses;
  }

  get start(): number {
    return this.ranges[0]?.from ?? 0;
  }

  get end(): number {
    return this.ranges.at(-1)?.to ?? 0;
  }

  /** Positions are asked for in ascending order. */
  covers(position: number): boolean {
    for (;;) {
      const range = this.ranges[this.#cursor];
      if (range === undefined) return false;
      if (position < range.to) return position >= range.from;
      this.#cursor++;
    }
  }

  /** First position of a use, from there on, that wants a register. */
  nextMust(from: number): number | undefined {
    for (const { at, must } of this.uses) if (must && at >= from) return at;
    return undefined;
  }

  /** The same, of a loop's next round as well. */
  nextWanted(from: number): number | undefined {
    for (const { at, must, again } of this.uses)
      if ((must || again === true) && at >= from) return at;
    return undefined;
  }

  /** Cuts off what comes from `at` on: the new piece, not yet handled. */
  splitAt(at: number): Interval {
    const cut = this.ranges.findIndex(({ to }) => to > at);
    const range = this.ranges[cut];
    const isInside = range !== undefined && range.from < at;
    const before = this.ranges.slice(0, cut);
    const after = this.ranges.slice(isInside ? cut + 1 : cut);
    if (isInside) {
      before.push({ from: range.from, to: at });
      after.unshift({ from: at, to: range.to });
    }
    const piece = new Interval(
      this.group,
      after,
      this.uses.filter((use) => use.at >= at),
    );
    this.ranges = before;
    this.uses = this.uses.filter((use) => use.at < at);
    const { pieces } = this.group;
    pieces.splice(pieces.indexOf(this) + 1, 0, piece);
    return piece;
  }
}

/** First position from `from` on that both cover. */
export function meeting(
  one: readonly Range[],
  other: readonly Range[],
  from = 0,
): number | undefined {
  let a = firstEndingAfter(one, from);
  let b = firstEndingAfter(other, from);
  for (;;) {
    const left = one[a];
    const right = other[b];
    if (left === undefined || right === undefined) return undefined;
    const low = Math.max(left.from, right.from, from);
    if (low < Math.min(left.to, right.to)) return low;
    if (left.to <= right.from) a = skip(one, a, right.from);
    else b = skip(other, b, left.from);
  }
}

/** The next index whose range ends after `position`, from `at` on. */
function skip(ranges: readonly Range[], at: number, position: number): number {
  const next = ranges[at + 1];
  if (next === undefined || next.to > position) return at + 1;
  return firstEndingAfter(ranges, position, at + 1);
}

function firstEndingAfter(
  ranges: readonly Range[],
  position: number,
  from = 0,
): number {
  let low = from;
  let high = ranges.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((ranges[middle]?.to ?? 0) > position) high = middle;
    else low = middle + 1;
  }
  return low;
}
