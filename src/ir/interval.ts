/**
 * Intervals of unsigned 64-bit numbers, and what comparisons say of them.
 *
 * One-way sound: an outcome that is named holds for all numbers of both intervals, and
 * where a comparison holds, the numbers lie within its limits.
 */
import type { BranchOp, Width } from "../isa/index.ts";
import type { BinaryOp, ValueId } from "./program.ts";

export interface Interval {
  readonly low: bigint;
  readonly high: bigint;
}

/** What tests say of values. */
export type Known = ReadonlyMap<ValueId, Interval>;

export const mask = (bits: number): bigint => (1n << BigInt(bits)) - 1n;
export const anything: Interval = { low: 0n, high: mask(64) };

export const unsigned: Readonly<Partial<Record<BranchOp, BranchOp>>> = {
  jsgt: "jgt",
  jsge: "jge",
  jslt: "jlt",
  jsle: "jle",
};

export const negated: Readonly<Partial<Record<BranchOp, BranchOp>>> = {
  jeq: "jne",
  jne: "jeq",
  jgt: "jle",
  jle: "jgt",
  jge: "jlt",
  jlt: "jge",
};

export const exchanged: Readonly<Partial<Record<BranchOp, BranchOp>>> = {
  jeq: "jeq",
  jne: "jne",
  jgt: "jlt",
  jlt: "jgt",
  jge: "jle",
  jle: "jge",
};

/** The outcome for all numbers of both, if there is one. */
export function compared(
  op: BranchOp | undefined,
  a: Interval,
  b: Interval,
): boolean | undefined {
  switch (op) {
    case "jeq":
      if (a.high < b.low || b.high < a.low) return false;
      return a.low === a.high && isEqual(a, b) ? true : undefined;
    case "jne": {
      const equal = compared("jeq", a, b);
      return equal === undefined ? undefined : !equal;
    }
    case "jgt":
      return a.low > b.high ? true : a.high <= b.low ? false : undefined;
    case "jge":
      return a.low >= b.high ? true : a.high < b.low ? false : undefined;
    case "jlt":
      return compared("jgt", b, a);
    case "jle":
      return compared("jge", b, a);
    // Signed orders and single bits say nothing of an interval of unsigned numbers here.
    case "jset":
    case "jsgt":
    case "jsge":
    case "jslt":
    case "jsle":
    case undefined:
      return undefined;
  }
}

/** Where `a` must lie for `a op b` to hold. */
export function limits(op: BranchOp, a: Interval, b: Interval): Interval {
  switch (op) {
    case "jeq":
      return b;
    case "jne":
      if (b.low !== b.high) return anything;
      return {
        low: a.low === b.low ? a.low + 1n : 0n,
        high: a.high === b.low ? a.high - 1n : anything.high,
      };
    case "jgt":
      return { low: b.low + 1n, high: anything.high };
    case "jge":
      return { low: b.low, high: anything.high };
    case "jlt":
      return { low: 0n, high: b.high - 1n };
    case "jle":
      return { low: 0n, high: b.high };
    case "jset":
    case "jsgt":
    case "jsge":
    case "jslt":
    case "jsle":
      return anything;
  }
}

/** In both; where that is nothing, the way is not taken, and any answer is right. */
export function met(one: Interval, other: Interval): Interval {
  const low = greatest(one.low, other.low);
  const high = least(one.high, other.high);
  return low > high ? one : { low, high };
}

export function within(range: Interval, top: Interval): Interval {
  return range.high <= top.high ? range : top;
}

export const isEqual = (one: Interval, other: Interval): boolean =>
  one.low === other.low && one.high === other.high;
export const least = (one: bigint, other: bigint): bigint =>
  one < other ? one : other;
export const greatest = (one: bigint, other: bigint): bigint =>
  one > other ? one : other;

/** What an operation makes of any numbers of both. */
export function arithmetic(
  op: BinaryOp,
  width: Width,
  a: Interval,
  b: Interval,
): Interval {
  const most = mask(width);
  const top: Interval = { low: 0n, high: most };
  // A 32-bit operation looks at low halves only.
  if (a.high > most || b.high > most) return top;
  switch (op) {
    case "add":
      return within({ low: a.low + b.low, high: a.high + b.high }, top);
    case "sub":
      return b.high <= a.low
        ? { low: a.low - b.high, high: a.high - b.low }
        : top;
    case "mul":
      return within({ low: a.low * b.low, high: a.high * b.high }, top);
    case "div":
      // Division by zero gives zero.
      return b.low > 0n
        ? { low: a.low / b.high, high: a.high / b.low }
        : { low: 0n, high: a.high };
    case "mod":
      if (b.low === 0n) return { low: 0n, high: a.high };
      return a.high < b.low ? a : { low: 0n, high: least(a.high, b.high - 1n) };
    case "and":
      return { low: 0n, high: least(a.high, b.high) };
    case "or":
    case "xor": {
      const bits = (a.high > b.high ? a.high : b.high).toString(2).length;
      return {
        low: op === "or" ? greatest(a.low, b.low) : 0n,
        high: mask(bits),
      };
    }
    case "lsh":
      return b.low === b.high && b.low < BigInt(width)
        ? within({ low: a.low << b.low, high: a.high << b.low }, top)
        : top;
    case "rsh":
      return b.low === b.high && b.low < BigInt(width)
        ? { low: a.low >> b.low, high: a.high >> b.low }
        : { low: 0n, high: a.high };
    case "sdiv":
    case "smod":
    case "arsh":
      return top;
  }
}

/** What both say. */
export function joined(one: Known, other: Known): Known {
  const both = new Map<ValueId, Interval>();
  for (const [value, range] of one) {
    const also = other.get(value);
    if (also !== undefined && isEqual(also, range)) both.set(value, range);
  }
  return both;
}

export function isSame(one: Known, other: Known): boolean {
  return (
    one.size === other.size &&
    [...one].every(([value, range]) => {
      const also = other.get(value);
      return also !== undefined && isEqual(also, range);
    })
  );
}

/** Bits that are left by operations that clear the others. */
export const zeroExtended: Readonly<Record<string, number>> = {
  zext8: 8,
  zext16: 16,
  zext32: 32,
  swap16: 16,
  swap32: 32,
  neg32: 32,
};
