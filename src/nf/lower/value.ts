/**
 * What the lowering knows of the value of an expression while it walks a function.
 *
 * - A constant is known to the compiler: numbers, declarations of state, struct
 *   types, arrays. It becomes a word where one is needed.
 * - A scalar is a 64-bit word of the IR. Numbers are exact integers in two's
 *   complement, so that one word serves 32-bit and larger values; bigints are
 *   modulo 2^64, and `low … high` says whether they are read as signed. Booleans
 *   are 0 and 1.
 * - An object is a struct, vector or plain object that lives in values, not in
 *   memory; its fields are in the environment (see environment.ts), so that two
 *   names of one object see each other's assignments.
 * - A reference is memory: a value of a map, or a part of one.
 * - An optional is its payload where `present` is not 0; a nullable pointer is
 *   its own `present`.
 */
import type { ValueId } from "../../ir/index.ts";
import type { Type } from "../library/struct.ts";
import type { ViewName } from "../library/view-table.ts";

export interface Scalar {
  readonly kind: "scalar";
  readonly js: "number" | "bigint" | "boolean";
  readonly word: ValueId;
  readonly low: bigint;
  readonly high: bigint;
}

export interface Reference {
  readonly kind: "reference";
  readonly type: Type;
  readonly pointer: ValueId;
  readonly offset: number;
  /** The map whose value it lies in. */
  readonly map: string;
  /** A scalar value type: the scalar is reached through `.value`. */
  readonly boxed?: true;
}

/** A header, or `bytes`: the payload behind one, to the end of the frame. */
export interface HeaderValue {
  readonly kind: "header";
  readonly header: ViewName | "bytes";
  /** Address of the header: `base + offset`. */
  readonly base: ValueId;
  readonly offset: number;
  /** The IP protocol number, where the header (`l4`) is of several kinds. */
  readonly protocol?: ValueId;
}

export interface Optional {
  readonly kind: "optional";
  readonly present: ValueId;
  readonly payload: Value;
}

export type Value =
  | { readonly kind: "constant"; readonly value: unknown }
  | Scalar
  | { readonly kind: "object"; readonly object: number }
  | Reference
  | HeaderValue
  | Optional
  | { readonly kind: "packet" }
  | { readonly kind: "context" }
  /** What becomes of the packet; a word that the program may return. */
  | { readonly kind: "verdict"; readonly word: ValueId };

export const undefinedValue: Value = { kind: "constant", value: undefined };

export function constantValue(value: unknown): Value {
  return { kind: "constant", value };
}

/** The same value, known to lie in a smaller range too. */
export function within(value: Value, low: bigint, high: bigint): Value {
  if (value.kind !== "scalar" || value.js === "boolean") return value;
  if (low <= value.low && high >= value.high) return value;
  const [from, to] = [
    low > value.low ? low : value.low,
    high < value.high ? high : value.high,
  ];
  return from > to ? value : { ...value, low: from, high: to };
}

/** Is it true of the two that no run can tell them apart? */
export function sameValue(left: Value, right: Value): boolean {
  if (left === right) return true;
  switch (left.kind) {
    case "constant":
      return right.kind === "constant" && Object.is(left.value, right.value);
    case "scalar":
      return (
        right.kind === "scalar" &&
        left.word === right.word &&
        left.js === right.js &&
        left.low === right.low &&
        left.high === right.high
      );
    case "object":
      return right.kind === "object" && left.object === right.object;
    case "reference":
      return (
        right.kind === "reference" &&
        left.pointer === right.pointer &&
        left.offset === right.offset &&
        left.type === right.type
      );
    case "header":
      return (
        right.kind === "header" &&
        left.header === right.header &&
        left.base === right.base &&
        left.offset === right.offset &&
        left.protocol === right.protocol
      );
    case "optional":
      return (
        right.kind === "optional" &&
        left.present === right.present &&
        sameValue(left.payload, right.payload)
      );
    case "verdict":
      return right.kind === "verdict" && left.word === right.word;
    case "packet":
    case "context":
      return left.kind === right.kind;
  }
}
