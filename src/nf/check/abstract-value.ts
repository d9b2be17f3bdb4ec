/**
 * What is known of a value on one path: an interval for numbers and bigints, which
 * of true and false, or which thing of the library it is.
 *
 * A reference is a value inside state or a typed struct of the program's own; its
 * type says the range of every field, and `born` at which time of its map's life
 * it was looked up (see environment.ts). An object is a literal without a type: it
 * is named by the places that may have made it, its fields are in the environment.
 * Opaque is everything else (verdicts, and what was reported already).
 */
import type { ts } from "../front/typescript-api.ts";
import { scalarRange } from "../library/scalar.ts";
import type { Type } from "../library/struct.ts";
import type { ViewName } from "../library/view-table.ts";
import { exactly, holds, hull, type Interval } from "./interval.ts";

export type Numeric = {
  readonly kind: "number" | "bigint";
  readonly range: Interval;
};

export type Abstract =
  | Numeric
  | {
      readonly kind: "boolean";
      readonly canBeTrue: boolean;
      readonly canBeFalse: boolean;
    }
  | { readonly kind: "nothing" }
  /** The value, or undefined. */
  | { readonly kind: "maybe"; readonly value: Abstract }
  /** Of the library or the module: a declaration, a type, an array of constants. */
  | { readonly kind: "constant"; readonly value: unknown }
  | {
      readonly kind: "reference";
      readonly type: Type;
      readonly map: object | undefined;
      readonly born: number;
    }
  | { readonly kind: "object"; readonly sites: ReadonlySet<ts.Node> }
  | { readonly kind: "header"; readonly view: ViewName }
  | { readonly kind: "packet" }
  | { readonly kind: "bytes" }
  | { readonly kind: "context" }
  | { readonly kind: "opaque" };

export const nothing: Abstract = { kind: "nothing" };
export const opaque: Abstract = { kind: "opaque" };
export const either: Abstract = {
  kind: "boolean",
  canBeTrue: true,
  canBeFalse: true,
};

export function truth(value: boolean): Abstract {
  return { kind: "boolean", canBeTrue: value, canBeFalse: !value };
}

export function ofRange(kind: "number" | "bigint", range: Interval): Numeric {
  return { kind, range };
}

/** A constant of the evaluator as an abstract value. */
export function ofConstant(value: unknown): Abstract {
  if (typeof value === "number")
    return Number.isSafeInteger(value)
      ? { kind: "number", range: exactly(value) }
      : opaque;
  if (typeof value === "bigint")
    return { kind: "bigint", range: exactly(value) };
  if (typeof value === "boolean") return truth(value);
  return value === undefined ? nothing : { kind: "constant", value };
}

/** Any value of a scalar, struct or vector type. */
export function ofType(type: Type, map?: object, born = 0): Abstract {
  if (type.kind !== "scalar") return { kind: "reference", type, map, born };
  if (type.js === "boolean") return either;
  return { kind: type.js, range: scalarRange(type) };
}

/** What a look-up answers: of a scalar type it is a box with `.value`. */
export function referenceTo(type: Type, map: object, born: number): Abstract {
  return { kind: "reference", type, map, born };
}

export function maybe(value: Abstract): Abstract {
  return value.kind === "nothing" || value.kind === "maybe"
    ? value
    : { kind: "maybe", value };
}

/** The value where it is known not to be undefined. */
export function present(value: Abstract): Abstract {
  return value.kind === "maybe" ? value.value : value;
}

export function isNumeric(value: Abstract): value is Numeric {
  return value.kind === "number" || value.kind === "bigint";
}

/** Can it be true, can it be false? */
export function truths(value: Abstract): {
  readonly canBeTrue: boolean;
  readonly canBeFalse: boolean;
} {
  switch (value.kind) {
    case "boolean":
      return value;
    case "nothing":
      return { canBeTrue: false, canBeFalse: true };
    case "number":
    case "bigint": {
      const { low, high } = value.range;
      return {
        canBeTrue: low !== 0n || high !== 0n,
        canBeFalse: holds(value.range, 0n),
      };
    }
    case "maybe":
      return { canBeTrue: truths(value.value).canBeTrue, canBeFalse: true };
    case "opaque":
      return { canBeTrue: true, canBeFalse: true };
    case "constant":
      return {
        canBeTrue: Boolean(value.value),
        canBeFalse: !value.value,
      };
    case "reference":
    case "object":
    case "header":
    case "packet":
    case "bytes":
    case "context":
      return { canBeTrue: true, canBeFalse: false };
  }
}

export type HullOf = (left: Interval, right: Interval) => Interval;

/** One value that stands for both. `hullOf` is another hull where loops widen. */
export function joinValues(
  left: Abstract,
  right: Abstract,
  hullOf: HullOf = hull,
): Abstract {
  if (left === right) return left;
  if (left.kind === "nothing") return maybe(right);
  if (right.kind === "nothing") return maybe(left);
  if (left.kind === "maybe" || right.kind === "maybe") {
    const value = joinValues(present(left), present(right), hullOf);
    if (left.kind === "maybe" && value === left.value) return left;
    return maybe(value);
  }
  switch (left.kind) {
    case "number":
    case "bigint":
      if (right.kind !== left.kind) return opaque;
      return sameRange(left, right, hullOf(left.range, right.range));
    case "boolean": {
      if (right.kind !== "boolean") return opaque;
      const canBeTrue = left.canBeTrue || right.canBeTrue;
      const canBeFalse = left.canBeFalse || right.canBeFalse;
      return canBeTrue === left.canBeTrue && canBeFalse === left.canBeFalse
        ? left
        : either;
    }
    case "constant":
      return right.kind === "constant" && right.value === left.value
        ? left
        : opaque;
    case "reference":
      if (
        right.kind !== "reference" ||
        right.type !== left.type ||
        (right.map !== left.map &&
          right.map !== undefined &&
          left.map !== undefined)
      )
        return opaque;
      return left.born === right.born && left.map === right.map
        ? left
        : {
            ...left,
            map: left.map ?? right.map,
            born:
              left.map === undefined
                ? right.born
                : right.map === undefined
                  ? left.born
                  : Math.min(left.born, right.born),
          };
    case "object":
      if (right.kind !== "object") return opaque;
      return [...right.sites].every((site) => left.sites.has(site))
        ? left
        : { kind: "object", sites: new Set([...left.sites, ...right.sites]) };
    case "header":
      if (right.kind !== "header") return opaque;
      return left.view === right.view ? left : { kind: "header", view: "l4" };
    case "packet":
    case "bytes":
    case "context":
    case "opaque":
      return left.kind === right.kind ? left : opaque;
  }
}

function sameRange(left: Numeric, right: Abstract, range: Interval): Abstract {
  if (range.low === left.range.low && range.high === left.range.high)
    return left;
  if (
    isNumeric(right) &&
    range.low === right.range.low &&
    range.high === right.range.high
  )
    return right;
  return { kind: left.kind, range };
}

export function sameValues(left: Abstract, right: Abstract): boolean {
  return (
    left === right ||
    (joinValues(left, right) === left && joinValues(right, left) === right)
  );
}
