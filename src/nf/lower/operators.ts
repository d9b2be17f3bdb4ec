/**
 * JavaScript's operators on words.
 *
 * Numbers are exact integers in 64-bit two's complement, so + − * need no more
 * than the operation, and a bit operator is JavaScript's on the low 32 bits,
 * sign-extended, which costs nothing where the ranges show that the result is
 * not negative. bigint words are modulo 2^64; the ranges say how they are read.
 * Division and remainder are unsigned where neither operand can be negative.
 */
import { bitwise32, int32, shift32, shift64 } from "./bit-operators.ts";
import type { Cursor } from "./lowering.ts";
import { scalarRange } from "./scalars.ts";
import { type Scalar, type Value, constantValue } from "./value.ts";
import {
  Words,
  absolute,
  greatest,
  hull,
  least,
  ones,
  powerOf2,
} from "./words.ts";

export type Operator =
  "+" | "-" | "*" | "/" | "%" | "&" | "|" | "^" | "<<" | ">>" | ">>>";

const operators = "+ - * / % & | ^ << >> >>>".split(" ");

export function isOperator(text: string): text is Operator {
  return operators.includes(text);
}

export const uint64Max = 2n ** 64n - 1n;

/** `left op right`; `/` is division towards zero. */
export function operate(
  cursor: Cursor,
  op: Operator,
  left: Value,
  right: Value,
): Value {
  if (left.kind === "constant" && right.kind === "constant") {
    const folded = fold(op, left.value, right.value);
    if (folded !== undefined) return constantValue(folded);
  }
  return isBigint(left)
    ? operateBigints(cursor, op, left, right)
    : operateNumbers(cursor, op, left, right);
}

export function isBigint(value: Value): boolean {
  return value.kind === "scalar"
    ? value.js === "bigint"
    : value.kind === "constant" && typeof value.value === "bigint";
}

function fold(
  op: Operator,
  left: unknown,
  right: unknown,
): number | bigint | undefined {
  if (typeof left === "number" && typeof right === "number")
    switch (op) {
      case "+":
        return left + right;
      case "-":
        return left - right;
      case "*":
        return left * right;
      case "/":
        return right === 0 ? undefined : Math.trunc(left / right) + 0;
      case "%":
        return right === 0 ? undefined : (left % right) + 0;
      case "&":
        return left & right;
      case "|":
        return left | right;
      case "^":
        return left ^ right;
      case "<<":
        return left << right;
      case ">>":
        return left >> right;
      case ">>>":
        return left >>> right;
    }
  if (typeof left !== "bigint" || typeof right !== "bigint") return undefined;
  switch (op) {
    case "+":
      return left + right;
    case "-":
      return left - right;
    case "*":
      return left * right;
    case "/":
      return right === 0n ? undefined : left / right;
    case "%":
      return right === 0n ? undefined : left % right;
    case "&":
      return left & right;
    case "|":
      return left | right;
    case "^":
      return left ^ right;
    case "<<":
      return right > 64n || right < 0n ? undefined : left << right;
    case ">>":
      return right > 64n || right < 0n ? undefined : left >> right;
    case ">>>":
      return undefined;
  }
}

/** Puts words together; `range` is exact or too wide, never too narrow. */
function operateNumbers(
  cursor: Cursor,
  op: Operator,
  left: Value,
  right: Value,
): Value {
  const words = new Words(cursor, "number", left, right);
  switch (op) {
    case "+":
    case "-":
    case "*":
    case "/":
    case "%":
      return arithmetic(words, op);
    case "&":
    case "|":
    case "^":
      return bitwise32(words, op);
    case "<<":
    case ">>":
    case ">>>":
      return shift32(words, op);
  }
}

function arithmetic(words: Words, op: "+" | "-" | "*" | "/" | "%"): Scalar {
  const { a, b } = words;
  switch (op) {
    case "+":
      return words.emit("add", { low: a.low + b.low, high: a.high + b.high });
    case "-":
      return words.emit("sub", { low: a.low - b.high, high: a.high - b.low });
    case "*": {
      const range = hull([
        a.low * b.low,
        a.low * b.high,
        a.high * b.low,
        a.high * b.high,
      ]);
      const power = b.low === b.high ? powerOf2(b.low) : undefined;
      return power === undefined
        ? words.emit("mul", range)
        : words.with("lsh", power, range);
    }
    case "/":
    case "%":
      return divide(words, op);
  }
}

function divide(words: Words, op: "/" | "%"): Scalar {
  const { a, b } = words;
  if (a.low < 0n || b.low < 0n) {
    const most = greatest([a.low, a.high].map(absolute));
    if (op === "/") return words.emit("sdiv", { low: -most, high: most });
    const rest = least([most, greatest([b.low, b.high].map(absolute)) - 1n]);
    return words.emit("smod", {
      low: a.low < 0n ? -rest : 0n,
      high: a.high > 0n ? rest : 0n,
    });
  }
  const power = b.low === b.high ? powerOf2(b.low) : undefined;
  const divisor = b.low > 0n ? b.low : 1n;
  // Half the width is a much faster division.
  const width = a.high < 2n ** 32n && b.high < 2n ** 32n ? 32 : 64;
  if (op === "/") {
    const range = {
      low: b.high === 0n ? 0n : a.low / b.high,
      high: a.high / divisor,
    };
    return power === undefined
      ? words.emit("div", range, width)
      : words.with("rsh", power, range);
  }
  const rest = b.high === 0n ? a.high : least([a.high, b.high - 1n]);
  const range = { low: 0n, high: rest };
  return power === undefined
    ? words.emit("mod", range, width)
    : words.with("and", b.low - 1n, range);
}

function operateBigints(
  cursor: Cursor,
  op: Operator,
  left: Value,
  right: Value,
): Value {
  const words = new Words(cursor, "bigint", left, right);
  const { a, b } = words;
  switch (op) {
    case "+":
    case "-":
    case "*":
    case "/":
    case "%":
      return arithmetic(words, op);
    case "&": {
      const sides = [a, b].filter((side) => side.low >= 0n);
      return words.emit(
        "and",
        sides.length === 0
          ? hull([a.low, b.low, -1n, -(2n ** 63n)])
          : { low: 0n, high: least(sides.map((side) => side.high)) },
      );
    }
    case "|":
    case "^":
      return words.emit(
        op === "|" ? "or" : "xor",
        a.low >= 0n && b.low >= 0n
          ? { low: 0n, high: ones(greatest([a.high, b.high])) }
          : { low: -(2n ** 63n), high: 2n ** 63n - 1n },
      );
    case "<<":
    case ">>":
      return shift64(words, op);
    case ">>>":
      return left;
  }
}

/** The checker proves counts below 64. */
export function negate(cursor: Cursor, value: Value): Value {
  if (value.kind === "constant") {
    if (typeof value.value === "number") return constantValue(0 - value.value);
    if (typeof value.value === "bigint") return constantValue(-value.value);
  }
  const js = isBigint(value) ? "bigint" : "number";
  const { low, high } = scalarRange(value);
  const { writer, block } = cursor;
  const word = writer.unary(block, "neg64", cursor.word(value));
  return { kind: "scalar", js, word, low: -high, high: -low };
}

export function complement(cursor: Cursor, value: Value): Value {
  if (value.kind === "constant") {
    if (typeof value.value === "number") return constantValue(~value.value);
    if (typeof value.value === "bigint") return constantValue(~value.value);
  }
  const { writer, block } = cursor;
  const { low, high } = scalarRange(value);
  const isBig = isBigint(value);
  const small = low >= int32.low && high <= int32.high;
  const word =
    isBig || small
      ? cursor.word(value)
      : writer.unary(block, "sext32", cursor.word(value));
  const [from, to] = isBig || small ? [low, high] : [int32.low, int32.high];
  return {
    kind: "scalar",
    js: isBig ? "bigint" : "number",
    word: writer.binary(block, "xor", word, cursor.constant(-1n)),
    low: -to - 1n,
    high: -from - 1n,
  };
}

/** What a scalar type does to a number: keep its low bits. */
/** The low bits of a word, zero- or sign-extended. */
