/**
 * The rules of simplify, on one pure instruction. `bits(x) ≤ n`: x < 2^n is
 * certain from how x is made.
 *
 *   op(const, const)                    → const
 *   x + 0, x − 0, x | 0, x ^ 0, x shift 0, x · 1, x / 1   → x (width 64, or bits(x) ≤ 32)
 *   x & 0, x · 0                        → 0
 *   x & (2^n − 1), bits(x) ≤ n          → x
 *   zextN(x), bits(x) ≤ N               → x
 *   extract(x, 0, n), bits(x) ≤ 8n      → x
 *   extract(extract(x, i, m), j, n)     → extract(x, i + j, n)
 *   concat(x:n)                         → extract(x, 0, n)
 *   concat of neighbouring parts of x   → extract(x, start, sum)
 *   concat(…, 0:n)                      → concat(…)
 */
import { unreachable } from "../base/index.ts";
import type { Draft } from "./function-builder.ts";
import type { IrInstruction, ValueId } from "./program.ts";
import { foldBinary, foldConcat, foldExtract, foldUnary } from "./word.ts";

export interface Definitions {
  /** Undefined for parameters. */
  readonly of: (value: ValueId) => IrInstruction | undefined;
}

/** Another instruction, a value that it equals, or undefined: nothing simpler. */
export function simplerInstruction(
  instruction: IrInstruction,
  definitions: Definitions,
): Draft | ValueId | undefined {
  switch (instruction.kind) {
    case "binary":
      return simplerBinary(instruction, definitions);
    case "unary": {
      const value = constant(instruction.value, definitions);
      if (value !== undefined)
        return { kind: "const", value: foldUnary(instruction.op, value) };
      const extends_ = /^zext(\d+)$/.exec(instruction.op);
      return extends_ !== null &&
        bits(instruction.value, definitions) <= Number(extends_[1])
        ? instruction.value
        : undefined;
    }
    case "extract":
      return simplerExtract(instruction, definitions);
    case "concat":
      return simplerConcat(instruction, definitions);
    case "const":
    case "map":
    case "map-value":
    case "function":
    case "kernel-symbol":
    case "slot":
    case "undefined":
    case "load":
    case "store":
    case "atomic":
    case "call":
    case "address-cast":
    case "load-packet":
      return undefined;
    default:
      return unreachable(instruction);
  }
}

function constant(
  value: ValueId,
  definitions: Definitions,
): bigint | undefined {
  const definition = definitions.of(value);
  return definition?.kind === "const" ? definition.value : undefined;
}

/** An n such that the value is below 2^n; 64 when nothing is known. */
function bits(value: ValueId, definitions: Definitions): number {
  const definition = definitions.of(value);
  if (definition === undefined) return 64;
  switch (definition.kind) {
    case "const":
      return definition.value.toString(2).length;
    case "load":
      return definition.signed ? 64 : 8 * definition.size;
    case "load-packet":
      return 8 * definition.size;
    case "atomic":
      return 8 * definition.size;
    case "extract":
      return 8 * definition.size;
    case "concat":
      return definition.parts.reduce((sum, part) => sum + 8 * part.size, 0);
    case "unary": {
      const match = /^(?:zext|swap|neg)(\d+)$/.exec(definition.op);
      return match === null ? 64 : Number(match[1]);
    }
    case "binary": {
      if (definition.op === "and") {
        const sides = [definition.left, definition.right]
          .map((side) => constant(side, definitions))
          .map((word) => word?.toString(2).length ?? 64);
        return Math.min(definition.width, ...sides);
      }
      return definition.width;
    }
    case "map":
    case "map-value":
    case "function":
    case "kernel-symbol":
    case "slot":
    case "undefined":
    case "store":
    case "call":
    case "address-cast":
      return 64;
  }
}

function simplerBinary(
  instruction: IrInstruction & { readonly kind: "binary" },
  definitions: Definitions,
): Draft | ValueId | undefined {
  const { op, width, left, right } = instruction;
  const a = constant(left, definitions);
  const b = constant(right, definitions);
  if (a !== undefined && b !== undefined)
    return { kind: "const", value: foldBinary(op, width, a, b) };
  if (b === undefined) return undefined;
  const word = BigInt.asUintN(width, b);
  const whole = width === 64 || bits(left, definitions) <= 32;
  switch (op) {
    case "add":
    case "sub":
    case "or":
    case "xor":
      return word === 0n && whole ? left : undefined;
    case "lsh":
    case "rsh":
      return word === 0n && whole ? left : undefined;
    case "arsh":
      return word === 0n && width === 64 ? left : undefined;
    case "mul":
      if (word === 0n) return { kind: "const", value: 0n };
      return word === 1n && whole ? left : undefined;
    case "div":
      return word === 1n && whole ? left : undefined;
    case "and": {
      if (word === 0n) return { kind: "const", value: 0n };
      const mask = word & (word + 1n);
      const keeps =
        mask === 0n && bits(left, definitions) <= word.toString(2).length;
      return keeps ? left : undefined;
    }
    case "sdiv":
    case "mod":
    case "smod":
      return undefined;
  }
}

function simplerExtract(
  instruction: IrInstruction & { readonly kind: "extract" },
  definitions: Definitions,
): Draft | ValueId | undefined {
  const { value, start, size } = instruction;
  const word = constant(value, definitions);
  if (word !== undefined)
    return { kind: "const", value: foldExtract(word, start, size) };
  if (start === 0 && bits(value, definitions) <= 8 * size) return value;
  const inner = definitions.of(value);
  if (inner?.kind === "extract" && start + size <= inner.size)
    return {
      kind: "extract",
      value: inner.value,
      start: inner.start + start,
      size,
    };
  if (inner?.kind !== "concat") return undefined;
  let at = 0;
  for (const part of inner.parts) {
    if (start >= at && start + size <= at + part.size)
      return { kind: "extract", value: part.value, start: start - at, size };
    at += part.size;
  }
  return undefined;
}

interface Part {
  readonly value: ValueId;
  readonly size: number;
}

function simplerConcat(
  { parts }: IrInstruction & { readonly kind: "concat" },
  definitions: Definitions,
): Draft | ValueId | undefined {
  const words = parts.map(({ value, size }) => ({
    value: constant(value, definitions),
    size,
  }));
  const known = words.flatMap(({ value, size }) =>
    value === undefined ? [] : [{ value, size }],
  );
  if (known.length === words.length)
    return { kind: "const", value: foldConcat(known) };
  const [first] = parts;
  if (first === undefined) return undefined;
  if (parts.length === 1)
    return { kind: "extract", value: first.value, start: 0, size: first.size };
  const last = words.at(-1);
  if (
    last?.value !== undefined &&
    BigInt.asUintN(8 * last.size, last.value) === 0n
  )
    return { kind: "concat", parts: parts.slice(0, -1) };
  return neighbours(parts, definitions);
}

function neighbours(
  parts: readonly Part[],
  definitions: Definitions,
): Draft | ValueId | undefined {
  const sliceOf = ({
    value,
    size,
  }: Part): { of: ValueId; start: number } | undefined => {
    const definition = definitions.of(value);
    if (definition?.kind === "extract")
      return definition.size === size
        ? { of: definition.value, start: definition.start }
        : undefined;
    // The low bytes of a word that was narrow enough not to need an extract.
    return { of: value, start: 0 };
  };
  const slices = parts.map(sliceOf);
  const [first] = slices;
  if (first === undefined) return undefined;
  let end = first.start;
  for (const [index, slice] of slices.entries()) {
    if (slice?.of !== first.of || slice.start !== end) return undefined;
    end += parts[index]?.size ?? 0;
  }
  const size = end - first.start;
  return size === 8
    ? first.of
    : { kind: "extract", value: first.of, start: first.start, size };
}
