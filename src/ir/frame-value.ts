/**
 * What the frame analysis knows of a word: the abstract values.
 *
 *   any                      no address of a frame (or one that leaked already)
 *   number [low, high]       an integer in that range, read as signed 64 bits
 *   pointer bases [low,high] an address: at least `low`, at most `high` bytes
 *                            above one of its bases
 *   map, function            the object of that name
 *
 * Bases are a bit set: the function's own frame (offset from r10), the incoming
 * value of parameter 1 … 5 (perhaps an address of a caller's frame), and
 * `otherBase`: perhaps something else altogether, null included.
 *
 * Order: any ≤ pointer (joining adds `otherBase`); number, map, function ≤ any.
 * Chains are short but for ranges, which `widen` cuts. Sound as: a word that is
 * an address of the own frame is a pointer with that base and its offset in range.
 */
import type { Operand, Register } from "../isa/index.ts";

export type FrameValue =
  | { readonly kind: "any" }
  | { readonly kind: "number"; readonly low: number; readonly high: number }
  | {
      readonly kind: "pointer";
      readonly bases: number;
      readonly low: number;
      readonly high: number;
    }
  | { readonly kind: "map"; readonly name: string }
  | { readonly kind: "function"; readonly name: string };

/** Registers r0 … r9, then the 64 stack words. */
export type FrameState = readonly FrameValue[];

export const ownBase = 1;
export const otherBase = 64;
/** Parameter 0 … 4. */
export function parameterBase(index: number): number {
  return 2 << index;
}

export const any: FrameValue = { kind: "any" };

/** Around an address, everything: the bytes that unknown code may touch. */
export const unbounded = [
  Number.NEGATIVE_INFINITY,
  Number.POSITIVE_INFINITY,
] as const;

export function number(low: number, high = low): FrameValue {
  if (!Number.isSafeInteger(low) || !Number.isSafeInteger(high)) return any;
  return { kind: "number", low, high };
}

export function pointer(bases: number, low: number, high = low): FrameValue {
  return { kind: "pointer", bases, low, high };
}

export function equal(left: FrameValue, right: FrameValue): boolean {
  if (left === right) return true;
  switch (left.kind) {
    case "any":
      return right.kind === "any";
    case "number":
      return (
        right.kind === "number" &&
        left.low === right.low &&
        left.high === right.high
      );
    case "pointer":
      return (
        right.kind === "pointer" &&
        left.bases === right.bases &&
        left.low === right.low &&
        left.high === right.high
      );
    case "map":
    case "function":
      return right.kind === left.kind && left.name === right.name;
  }
}

/** `widened`: a range that grows goes to its end at once. */
export function join(
  left: FrameValue,
  right: FrameValue,
  widened: boolean,
): FrameValue {
  if (equal(left, right)) return left;
  if (left.kind === "pointer" || right.kind === "pointer") {
    if (left.kind !== "pointer") return withOther(right);
    if (right.kind !== "pointer") return withOther(left);
    const { low, high } = hull(left, right, widened);
    return pointer(left.bases | right.bases, low, high);
  }
  if (left.kind === "number" && right.kind === "number") {
    const { low, high } = hull(left, right, widened);
    return number(low, high);
  }
  return any;
}

function withOther(value: FrameValue): FrameValue {
  if (value.kind !== "pointer") return value;
  if ((value.bases & otherBase) !== 0) return value;
  return pointer(value.bases | otherBase, value.low, value.high);
}

interface Range {
  readonly low: number;
  readonly high: number;
}

function hull(left: Range, right: Range, widened: boolean): Range {
  const low = Math.min(left.low, right.low);
  const high = Math.max(left.high, right.high);
  if (!widened) return { low, high };
  return {
    low: low < left.low ? Number.NEGATIVE_INFINITY : low,
    high: high > left.high ? Number.POSITIVE_INFINITY : high,
  };
}

/** left + sign · right, for sign 1 or −1. */
export function add(
  left: FrameValue,
  right: FrameValue,
  sign: 1 | -1,
): FrameValue {
  if (left.kind === "number" && right.kind === "number")
    return sign > 0
      ? number(left.low + right.low, left.high + right.high)
      : number(left.low - right.high, left.high - right.low);
  if (left.kind === "pointer" && right.kind !== "pointer")
    return right.kind !== "number"
      ? smear(left)
      : sign > 0
        ? pointer(left.bases, left.low + right.low, left.high + right.high)
        : pointer(left.bases, left.low - right.high, left.high - right.low);
  if (right.kind === "pointer" && sign > 0 && left.kind !== "pointer")
    return add(right, left, 1);
  // Pointer minus pointer of the same single base is a distance.
  if (left.kind === "pointer" && right.kind === "pointer")
    return sign < 0 ? any : smear(join(left, right, false));
  return right.kind === "pointer" ? smear(right) : any;
}

/** Arithmetic that is no addition: still made of the address. */
export function smear(value: FrameValue): FrameValue {
  if (value.kind !== "pointer") return any;
  return pointer(
    value.bases,
    Number.NEGATIVE_INFINITY,
    Number.POSITIVE_INFINITY,
  );
}

/** Zero-extension of the low `bits` bits (8, 16 or 32). */
export function truncate(value: FrameValue, bits: number): FrameValue {
  const limit = 2 ** bits - 1;
  if (value.kind === "number" && value.low >= 0 && value.high <= limit)
    return value;
  return number(0, limit);
}

/** The one offset from r10 that an address of the own frame, and nothing else, has. */
export function ownOffset(value: FrameValue): number | undefined {
  if (value.kind !== "pointer" || value.bases !== ownBase) return undefined;
  return value.low === value.high ? value.low : undefined;
}

export function read(state: FrameState, register: Register): FrameValue {
  return register === 10 ? pointer(ownBase, 0) : (state[register] ?? any);
}

export function operand(state: FrameState, source: Operand): FrameValue {
  return source.kind === "register"
    ? read(state, source.register)
    : number(source.value);
}
