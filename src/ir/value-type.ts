/**
 * The lattice of value types during inference: undefined (nothing arrived) ≤
 * null ≤ nullable pointers, and everything ≤ pointer into the unknown.
 * `null` is the constant 0, which as a result of inference is a scalar.
 */
import type { Region, ValueType } from "./program.ts";

export type FlowType = ValueType | { readonly kind: "null" };

export const scalar: ValueType = { kind: "scalar" };
export const nullType: FlowType = { kind: "null" };
export const unknownPointer: ValueType = {
  kind: "pointer",
  region: { kind: "unknown" },
};

export function pointerTo(
  region: Region,
  offset?: number,
  nullable = false,
): ValueType {
  return {
    kind: "pointer",
    region,
    ...(offset === undefined ? {} : { offset }),
    ...(nullable ? { nullable } : {}),
  };
}

export function sameRegion(left: Region, right: Region): boolean {
  if (left.kind !== right.kind) return false;
  switch (left.kind) {
    case "slot":
      return right.kind === "slot" && left.slot === right.slot;
    case "map-value":
    case "map":
      return "map" in right && left.map === right.map;
    case "function":
      return right.kind === "function" && left.name === right.name;
    case "kernel":
      return right.kind === "kernel" && left.what === right.what;
    case "context":
    case "packet":
    case "packet-end":
    case "packet-meta":
    case "frame":
    case "unknown":
      return true;
  }
}

export function sameType(
  left: FlowType | undefined,
  right: FlowType | undefined,
): boolean {
  if (left === right) return true;
  if (left === undefined || right === undefined) return false;
  if (left.kind !== "pointer" || right.kind !== "pointer")
    return left.kind === right.kind;
  return (
    left.offset === right.offset &&
    left.nullable === right.nullable &&
    sameRegion(left.region, right.region)
  );
}

export function joinTypes(
  left: FlowType | undefined,
  right: FlowType,
): FlowType {
  if (left === undefined || sameType(left, right)) return right;
  if (left.kind === "pointer" && right.kind === "pointer") {
    const nullable = left.nullable === true || right.nullable === true;
    if (!sameRegion(left.region, right.region))
      return pointerTo({ kind: "unknown" }, undefined, nullable);
    const offset = left.offset === right.offset ? left.offset : undefined;
    return pointerTo(left.region, offset, nullable);
  }
  if (left.kind === "pointer" || right.kind === "pointer") {
    const pointer = left.kind === "pointer" ? left : right;
    const other = left.kind === "pointer" ? right : left;
    if (pointer.kind !== "pointer") return scalar;
    return other.kind === "null"
      ? { ...pointer, nullable: true }
      : pointerTo({ kind: "unknown" }, undefined, true);
  }
  return scalar;
}
