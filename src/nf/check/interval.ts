/**
 * Intervals of integers, and what JavaScript's operators do to them.
 *
 * An interval is never empty; both ends belong to it. Operators on numbers are
 * those of int32 where JavaScript converts (`& | ^ ~ << >> >>>`), exact integers
 * elsewhere; on bigints all are exact. `narrow` is the modulo of `u32(…)` and its
 * kin.
 *
 * Law (one-way sound): for all integers of the operands, the operator's result
 * lies in the answered interval. The table `transfers` is data so that a test can
 * break a row and see it caught.
 */
export interface Interval {
  readonly low: bigint;
  readonly high: bigint;
}

/** Integers that a number holds exactly: |x| < 2^53. */
export const safe: Interval = symmetric((1n << 53n) - 1n);
export const int32: Interval = { low: -(1n << 31n), high: (1n << 31n) - 1n };
export const uint32: Interval = { low: 0n, high: (1n << 32n) - 1n };
export const int64: Interval = { low: -(1n << 63n), high: (1n << 63n) - 1n };
export const uint64: Interval = { low: 0n, high: (1n << 64n) - 1n };

function symmetric(most: bigint): Interval {
  return { low: -most, high: most };
}

export function exactly(value: bigint | number): Interval {
  const at = BigInt(value);
  return { low: at, high: at };
}

export function isExact({ low, high }: Interval): boolean {
  return low === high;
}

export function contains(outer: Interval, inner: Interval): boolean {
  return outer.low <= inner.low && inner.high <= outer.high;
}

export function holds({ low, high }: Interval, value: bigint): boolean {
  return low <= value && value <= high;
}

export function hull(left: Interval, right: Interval): Interval {
  if (contains(left, right)) return left;
  if (contains(right, left)) return right;
  return {
    low: lesser(left.low, right.low),
    high: greater(left.high, right.high),
  };
}

/** Undefined where nothing is in both. */
export function meet(left: Interval, right: Interval): Interval | undefined {
  const low = greater(left.low, right.low);
  const high = lesser(left.high, right.high);
  return low > high ? undefined : { low, high };
}

/** Every integer of `value` modulo the size of `range`, as a member of `range`. */
export function narrow(value: Interval, range: Interval): Interval {
  const size = range.high - range.low + 1n;
  const turn = floorDiv(value.low - range.low, size);
  if (turn !== floorDiv(value.high - range.low, size)) return range;
  return { low: value.low - turn * size, high: value.high - turn * size };
}

type Transfer = (left: Interval, right: Interval) => Interval;

export interface Transfers {
  /** Exact integers, for numbers and bigints alike. */
  readonly "+": Transfer;
  readonly "-": Transfer;
  readonly "*": Transfer;
  /** Towards zero; divisors other than 0. */
  readonly "/": Transfer;
  /** With the dividend's sign; divisors other than 0. */
  readonly "%": Transfer;
  readonly "&": Transfer;
  readonly "|": Transfer;
  readonly "^": Transfer;
  readonly "<<": Transfer;
  readonly ">>": Transfer;
  /** Of numbers: operands become int32 (uint32 for `>>>`) first. */
  readonly "&32": Transfer;
  readonly "|32": Transfer;
  readonly "^32": Transfer;
  readonly "<<32": Transfer;
  readonly ">>32": Transfer;
  readonly ">>>32": Transfer;
  readonly min: Transfer;
  readonly max: Transfer;
  /** The low 32 bits of a product. */
  readonly mul32: Transfer;
}

export const transfers: Transfers = {
  "+": (a, b) => ({ low: a.low + b.low, high: a.high + b.high }),
  "-": (a, b) => ({ low: a.low - b.high, high: a.high - b.low }),
  "*": (a, b) => corners(a, b, (x, y) => x * y),
  "/": quotient,
  "%": remainder,
  "&": and,
  "|": or,
  "^": xor,
  "<<": (a, b) => corners(a, count(b, 63n), (x, y) => x << y),
  ">>": (a, b) => corners(a, count(b, 63n), (x, y) => x >> y),
  "&32": (a, b) => and(narrow(a, int32), narrow(b, int32)),
  "|32": (a, b) => or(narrow(a, int32), narrow(b, int32)),
  "^32": (a, b) => xor(narrow(a, int32), narrow(b, int32)),
  "<<32": (a, b) =>
    narrow(
      corners(a, count(b, 31n), (x, y) => x << y),
      int32,
    ),
  ">>32": (a, b) => corners(narrow(a, int32), count(b, 31n), (x, y) => x >> y),
  ">>>32": (a, b) =>
    corners(narrow(a, uint32), count(b, 31n), (x, y) => x >> y),
  min: (a, b) => ({ low: lesser(a.low, b.low), high: lesser(a.high, b.high) }),
  max: (a, b) => ({
    low: greater(a.low, b.low),
    high: greater(a.high, b.high),
  }),
  mul32: (a, b) =>
    narrow(
      corners(a, b, (x, y) => x * y),
      uint32,
    ),
};

export function negate({ low, high }: Interval): Interval {
  return { low: -high, high: -low };
}

export function complement({ low, high }: Interval): Interval {
  return { low: -high - 1n, high: -low - 1n };
}

export type Comparison = "<" | "<=" | ">" | ">=" | "===" | "!==";

const negations: Readonly<Record<Comparison, Comparison>> = {
  "<": ">=",
  "<=": ">",
  ">": "<=",
  ">=": "<",
  "===": "!==",
  "!==": "===",
};

export function opposite(comparison: Comparison): Comparison {
  return negations[comparison];
}

/** Both sides where the comparison holds; undefined where it cannot hold. */
export function assume(
  left: Interval,
  comparison: Comparison,
  right: Interval,
): readonly [Interval, Interval] | undefined {
  switch (comparison) {
    case "<":
      return both(
        meet(left, { low: left.low, high: right.high - 1n }),
        meet(right, { low: left.low + 1n, high: right.high }),
      );
    case "<=":
      return both(
        meet(left, { low: left.low, high: right.high }),
        meet(right, { low: left.low, high: right.high }),
      );
    case ">":
    case ">=": {
      const turned = assume(right, comparison === ">" ? "<" : "<=", left);
      return turned === undefined ? undefined : [turned[1], turned[0]];
    }
    case "===": {
      const common = meet(left, right);
      return both(common, common);
    }
    case "!==":
      return both(without(left, right), without(right, left));
  }
}

function both(
  left: Interval | undefined,
  right: Interval | undefined,
): readonly [Interval, Interval] | undefined {
  return left === undefined || right === undefined ? undefined : [left, right];
}

/** `value` without one integer at its end, where `other` is exactly that. */
function without(value: Interval, other: Interval): Interval | undefined {
  if (!isExact(other)) return value;
  if (isExact(value)) return value.low === other.low ? undefined : value;
  if (value.low === other.low) return { low: value.low + 1n, high: value.high };
  if (value.high === other.low)
    return { low: value.low, high: value.high - 1n };
  return value;
}

/** For loops that go on growing: ends jump outwards to the next of these. */
export function widen(
  old: Interval,
  next: Interval,
  stops: readonly bigint[],
): Interval {
  const low =
    next.low >= old.low
      ? old.low
      : (stops.findLast((stop) => stop <= next.low) ?? next.low * 2n);
  const high =
    next.high <= old.high
      ? old.high
      : (stops.find((stop) => stop >= next.high) ?? next.high * 2n);
  return { low, high };
}

function corners(
  a: Interval,
  b: Interval,
  of: (x: bigint, y: bigint) => bigint,
): Interval {
  const all = [
    of(a.low, b.low),
    of(a.low, b.high),
    of(a.high, b.low),
    of(a.high, b.high),
  ];
  return { low: all.reduce(lesser), high: all.reduce(greater) };
}

/** Shift counts that may be shifted by; wrong ones are reported elsewhere. */
function count(by: Interval, most: bigint): Interval {
  return meet(by, { low: 0n, high: most }) ?? { low: 0n, high: most };
}

function quotient(a: Interval, b: Interval): Interval {
  const negative = meet(b, { low: lesser(b.low, -1n), high: -1n });
  const positive = meet(b, { low: 1n, high: greater(b.high, 1n) });
  const parts = [negative, positive].flatMap((part) =>
    part === undefined ? [] : [corners(a, part, (x, y) => x / y)],
  );
  return parts.length === 0 ? exactly(0n) : parts.reduce(hull);
}

function remainder(a: Interval, b: Interval): Interval {
  const most = greater(absolute(b.low), absolute(b.high)) - 1n;
  if (most < 0n) return exactly(0n);
  // A dividend below every divisor stays what it is.
  if (a.low >= 0n && b.low > a.high) return a;
  return {
    low: a.low < 0n ? greater(a.low, -most) : 0n,
    high: a.high > 0n ? lesser(a.high, most) : 0n,
  };
}

function and(a: Interval, b: Interval): Interval {
  if (a.low >= 0n && b.low >= 0n)
    return { low: 0n, high: lesser(a.high, b.high) };
  if (a.low >= 0n) return { low: 0n, high: a.high };
  if (b.low >= 0n) return { low: 0n, high: b.high };
  return {
    low: -(1n << bitsOf(-lesser(a.low, b.low) - 1n)),
    high: greater(a.high, b.high),
  };
}

function or(a: Interval, b: Interval): Interval {
  if (a.low >= 0n && b.low >= 0n)
    return {
      low: greater(a.low, b.low),
      high: (1n << bitsOf(greater(a.high, b.high))) - 1n,
    };
  return {
    low: lesser(a.low, b.low),
    high:
      a.high < 0n || b.high < 0n
        ? -1n
        : (1n << bitsOf(greater(a.high, b.high))) - 1n,
  };
}

function xor(a: Interval, b: Interval): Interval {
  if (a.low >= 0n && b.low >= 0n)
    return { low: 0n, high: (1n << bitsOf(greater(a.high, b.high))) - 1n };
  const most = [a.low, a.high, b.low, b.high]
    .map((end) => (end < 0n ? -end - 1n : end))
    .reduce(greater);
  const size = 1n << bitsOf(most);
  return { low: -size, high: size - 1n };
}

/** Bits of a number that is not negative: 0 → 0, 255 → 8. */
function bitsOf(value: bigint): bigint {
  return value <= 0n ? 0n : BigInt(value.toString(2).length);
}

function floorDiv(a: bigint, b: bigint): bigint {
  const whole = a / b;
  return a % b !== 0n && a < 0n !== b < 0n ? whole - 1n : whole;
}

function absolute(value: bigint): bigint {
  return value < 0n ? -value : value;
}

function lesser(a: bigint, b: bigint): bigint {
  return a < b ? a : b;
}

function greater(a: bigint, b: bigint): bigint {
  return a > b ? a : b;
}
