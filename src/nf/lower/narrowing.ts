/** Narrowing to a scalar type: what `u32(e)` and its kin do. */
import type { ValueId } from "../../ir/index.ts";
import type { Cursor } from "./lowering.ts";
import { constantWord, scalarRange } from "./scalars.ts";
import { type Value, constantValue } from "./value.ts";
import type { Range } from "./words.ts";

export interface Narrowing {
  readonly bits: number;
  readonly signed: boolean;
  readonly js: "number" | "bigint" | "boolean";
}

export function rangeOfType({ bits, signed }: Narrowing): Range {
  const size = 2n ** BigInt(bits);
  return signed
    ? { low: -size / 2n, high: size / 2n - 1n }
    : { low: 0n, high: size - 1n };
}

export function narrow(cursor: Cursor, value: Value, to: Narrowing): Value {
  const { bits, signed, js } = to;
  if (js === "boolean") return value;
  const range = rangeOfType(to);
  if (value.kind === "constant") {
    const word = constantWord(value.value);
    if (word === undefined) return value;
    const kept = signed
      ? BigInt.asIntN(bits, word)
      : BigInt.asUintN(bits, word);
    return constantValue(js === "number" ? Number(kept) : kept);
  }
  const { low, high } = scalarRange(value);
  const word = cursor.word(value);
  if (low >= range.low && high <= range.high)
    return { kind: "scalar", js, word, low, high };
  return { kind: "scalar", js, word: lowBits(cursor, word, to), ...range };
}

function lowBits(cursor: Cursor, word: ValueId, to: Narrowing): ValueId {
  const { writer, block } = cursor;
  switch (to.bits) {
    case 8:
      return writer.unary(block, to.signed ? "sext8" : "zext8", word);
    case 16:
      return writer.unary(block, to.signed ? "sext16" : "zext16", word);
    case 32:
      return writer.unary(block, to.signed ? "sext32" : "zext32", word);
    case 64:
      return word;
    default: {
      const mask = cursor.constant(2n ** BigInt(to.bits) - 1n);
      return writer.binary(block, "and", word, mask);
    }
  }
}

/** Exponent of a power of two, except 1. */
/** All bits up to the highest of `value`. */
