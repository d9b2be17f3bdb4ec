/**
 * JavaScript's operators on words.
 *
 * Numbers are exact integers in 64-bit two's complement, so + − * need no more
 * than the operation, and a bit operator is JavaScript's on the low 32 bits,
 * sign-extended, which costs nothing where the ranges show that the result is
 * not negative. bigint words are modulo 2^64; the ranges say how they are read.
 * Division and remainder are unsigned where neither operand can be negative.
 */
import type { BinaryOp, ValueId } from "../../ir/index.ts";
import { constantWord, scalarRange } from "./join.ts";
import type { Cursor } from "./lowering.ts";
import { constantValue, type Scalar, type Value } from "./value.ts";

export type Operator =
  "+" | "-" | "*" | "/" | "%" | "&" | "|" | "^" | "<<" | ">>" | ">>>";

const operators = "+ - * / % & | ^ << >> >>>".split(" ");

export function isOperator(text: string): text is Operator {
  return operators.includes(text);
}

const int32 = { low: -(2n ** 31n), high: 2n ** 31n - 1n };
export const uint64Max = 2n ** 64n - 1n;

interface Range {
  readonly low: bigint;
  readonly high: bigint;
}

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
class Words {
  readonly cursor: Cursor;
  readonly js: "number" | "bigint";
  readonly left: ValueId;
  readonly right: ValueId;
  readonly a: Range;
  readonly b: Range;

  constructor(
    cursor: Cursor,
    js: "number" | "bigint",
    left: Value,
    right: Value,
  ) {
    this.cursor = cursor;
    this.js = js;
    this.left = cursor.word(left);
    this.right = cursor.word(right);
    this.a = scalarRange(left);
    this.b = scalarRange(right);
  }

  emit(op: BinaryOp, range: Range, width: 32 | 64 = 64): Scalar {
    const { cursor, left, right } = this;
    const word = cursor.writer.binary(cursor.block, op, left, right, width);
    return this.scalar(word, range);
  }

  scalar(word: ValueId, { low, high }: Range): Scalar {
    return { kind: "scalar", js: this.js, word, low, high };
  }

  /** The same with another right word. */
  with(op: BinaryOp, right: bigint, range: Range): Scalar {
    const { cursor, left } = this;
    const word = cursor.writer.binary(
      cursor.block,
      op,
      left,
      cursor.constant(right),
    );
    return this.scalar(word, range);
  }
}

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

function bitwise32(words: Words, op: "&" | "|" | "^"): Scalar {
  const { a, b, cursor } = words;
  if (op === "&")
    for (const side of [a, b])
      // The other's upper bits and sign do not matter.
      if (side.low >= 0n && side.high <= int32.high)
        return words.emit("and", {
          low: 0n,
          high:
            a.low >= 0n && b.low >= 0n ? least([a.high, b.high]) : side.high,
        });
  const name = op === "&" ? "and" : op === "|" ? "or" : "xor";
  const sides = [a, b];
  if (sides.every(({ low, high }) => low >= 0n && high <= int32.high))
    return words.emit(name, {
      low: 0n,
      high: ones(greatest([a.high, b.high])),
    });
  const whole = words.emit(name, int32);
  if (sides.every(({ low, high }) => low >= int32.low && high <= int32.high))
    return whole;
  const word = cursor.writer.unary(cursor.block, "sext32", whole.word);
  return words.scalar(word, int32);
}

function shift32(words: Words, op: "<<" | ">>" | ">>>"): Scalar {
  const { a, b, cursor, left, right } = words;
  const { writer } = cursor;
  // Counts are modulo 32, as an operation of width 32 has them.
  const count = b.low === b.high ? BigInt.asUintN(5, b.low) : undefined;
  const most = count ?? (b.low >= 0n && b.high < 32n ? b.high : 31n);
  const least = count ?? (b.low >= 0n && b.high < 32n ? b.low : 0n);
  switch (op) {
    case "<<": {
      const range = { low: a.low << least, high: a.high << most };
      if (a.low >= 0n && range.high <= int32.high)
        return count === undefined
          ? words.emit("lsh", range, 32)
          : words.with("lsh", count, range);
      const shifted = words.emit("lsh", int32, 32);
      const word = writer.unary(cursor.block, "sext32", shifted.word);
      return words.scalar(word, int32);
    }
    case ">>": {
      const signed = a.low >= int32.low && a.high <= int32.high;
      const word = signed ? left : writer.unary(cursor.block, "sext32", left);
      const range = signed ? a : int32;
      const by =
        count === undefined
          ? writer.binary(cursor.block, "and", right, cursor.constant(31n))
          : cursor.constant(count);
      return words.scalar(writer.binary(cursor.block, "arsh", word, by), {
        low: range.low < 0n ? range.low >> least : range.low >> most,
        high: range.high < 0n ? range.high >> most : range.high >> least,
      });
    }
    case ">>>": {
      const whole = a.low >= 0n && a.high < 2n ** 32n;
      const range = whole
        ? { low: a.low >> most, high: a.high >> least }
        : { low: 0n, high: (2n ** 32n - 1n) >> least };
      if (whole && count !== undefined) return words.with("rsh", count, range);
      if (count === 0n) {
        const word = writer.unary(cursor.block, "zext32", left);
        return words.scalar(word, range);
      }
      return words.emit("rsh", range, 32);
    }
  }
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
function shift64(words: Words, op: "<<" | ">>"): Scalar {
  const { a, b } = words;
  const most = b.high < 64n ? b.high : 63n;
  const fewest = b.low > 0n ? b.low : 0n;
  if (op === "<<")
    return words.emit(
      "lsh",
      hull([a.low << fewest, a.low << most, a.high << fewest, a.high << most]),
    );
  return words.emit(
    a.low < 0n ? "arsh" : "rsh",
    hull([a.low >> fewest, a.low >> most, a.high >> fewest, a.high >> most]),
  );
}

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

/** The low bits of a word, zero- or sign-extended. */
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
function powerOf2(value: bigint): bigint | undefined {
  if (value < 2n || (value & (value - 1n)) !== 0n) return undefined;
  return BigInt(value.toString(2).length - 1);
}

/** All bits up to the highest of `value`. */
function ones(value: bigint): bigint {
  return 2n ** BigInt(value.toString(2).length) - 1n;
}

function hull(values: readonly bigint[]): Range {
  return { low: least(values), high: greatest(values) };
}

function least(values: readonly bigint[]): bigint {
  return values.reduce((a, b) => (a < b ? a : b));
}

function greatest(values: readonly bigint[]): bigint {
  return values.reduce((a, b) => (a > b ? a : b));
}

function absolute(value: bigint): bigint {
  return value < 0n ? -value : value;
}
