/**
 * Arithmetic on words. Exact on bits as long as no carry depends on the input; above
 * that it is opaque. `sum` and the words of sources.ts remember what a constant was
 * added to.
 */
import type { BinaryOp, UnaryOp } from "../ir/index.ts";
import type { Form, Symbols } from "./symbols.ts";
import {
  bitsOf,
  fromBits,
  number,
  opaqueWord,
  zeros,
  type Word,
} from "./word.ts";

export function unary(op: UnaryOp, word: Word, symbols: Symbols): Word {
  if (word.kind === "pointer" && (op === "zext32" || op === "sext32"))
    return opaqueWord(symbols.unknown("an address"), 32);
  const bits = bitsOf(word, symbols);
  switch (op) {
    case "neg32":
      return add(bits.map(negate(symbols)), zeros, 1, { width: 32, symbols });
    case "neg64":
      return add(bits.map(negate(symbols)), zeros, 1, { width: 64, symbols });
    case "zext8":
      return fromBits(bits.slice(0, 8));
    case "zext16":
      return fromBits(bits.slice(0, 16));
    case "zext32":
      return keepSum(word, fromBits(bits.slice(0, 32)));
    case "sext8":
      return signExtend(bits, 8);
    case "sext16":
      return signExtend(bits, 16);
    case "sext32":
      return signExtend(bits, 32);
    case "swap16":
      return fromBits(swapBytes(bits, 2));
    case "swap32":
      return fromBits(swapBytes(bits, 4));
    case "swap64":
      return fromBits(swapBytes(bits, 8));
  }
}

/** Of scalars; pointer arithmetic is address.ts's business. */
export function binary(
  op: BinaryOp,
  operands: { readonly left: Word; readonly right: Word },
  width: 32 | 64,
  symbols: Symbols,
): Word {
  const { left, right } = operands;
  const a = bitsOf(left, symbols);
  const b = bitsOf(right, symbols);
  const context = { width, symbols };
  switch (op) {
    case "add":
      return withSum(
        exactly(add(a, b, 0, context), { left, right, sign: 1n }, symbols),
        left,
        right,
      );
    case "sub":
      return exactly(
        add(a, b.map(negate(symbols)), 1, context),
        { left, right, sign: -1n },
        symbols,
      );
    case "and":
      return zip(a, b, width, (x, y) => symbols.and(x, y));
    case "or":
      return zip(a, b, width, (x, y) => symbols.or(x, y));
    case "xor":
      return zip(a, b, width, (x, y) => symbols.xor(x, y));
    case "lsh":
    case "rsh":
    case "arsh":
      return shift(op, a, right, context);
    case "mul":
      return multiply(left, right, context);
    case "div":
    case "mod":
      return divide(op, a, right, context);
    case "sdiv":
    case "smod":
      return opaqueWord(symbols.blame([...a, ...b], op), width);
  }
}

interface Context {
  readonly width: 32 | 64;
  readonly symbols: Symbols;
}

const negate =
  (symbols: Symbols) =>
  (form: Form): Form =>
    symbols.xor(form, 1);

function zip(
  a: readonly Form[],
  b: readonly Form[],
  width: number,
  combine: (x: Form, y: Form) => Form,
): Word {
  const out: Form[] = [];
  for (let index = 0; index < width; index++)
    out.push(combine(a[index] ?? 0, b[index] ?? 0));
  return fromBits(out);
}

function add(
  a: readonly Form[],
  b: readonly Form[],
  carryIn: 0 | 1,
  { width, symbols }: Context,
): Word {
  let carry: Form = carryIn;
  const out: Form[] = [];
  for (let index = 0; index < width; index++) {
    const x = a[index] ?? 0;
    const y = b[index] ?? 0;
    out.push(symbols.xor(symbols.xor(x, y), carry));
    carry = symbols.majority(x, y, carry);
  }
  return fromBits(out);
}

function withSum(result: Word, left: Word, right: Word): Word {
  if (result.kind !== "bits") return result;
  const [term, constant] =
    right.kind === "number"
      ? [left, right.value]
      : left.kind === "number"
        ? [right, left.value]
        : [undefined, 0n];
  if (term?.kind !== "bits") return result;
  const inner = term.sum ?? { term, constant: 0n };
  return {
    ...result,
    sum: {
      term: inner.term,
      constant: BigInt.asUintN(64, inner.constant + constant),
    },
  };
}

/** The low half of a loaded word plus or minus a constant is known as that. */
function exactly(
  result: Word,
  operands: {
    readonly left: Word;
    readonly right: Word;
    readonly sign: bigint;
  },
  symbols: Symbols,
): Word {
  const { left, right, sign } = operands;
  const [term, constant] =
    right.kind === "number"
      ? [left, sign * right.value]
      : sign === 1n && left.kind === "number"
        ? [right, left.value]
        : [undefined, 0n];
  if (term?.kind !== "bits" || result.kind !== "bits") return result;
  const word = symbols.wordOf(term.bits.slice(0, 32));
  if (word === undefined) return result;
  const plus = Number(BigInt.asUintN(32, BigInt(word.plus) + constant));
  const low = symbols.word(word.load, plus, 32);
  return fromBits([...low, ...result.bits.slice(32)]);
}

/** `term + constant` survives truncation to 32 bits when both are small. */
function keepSum(from: Word, result: Word): Word {
  if (from.kind !== "bits" || from.sum === undefined) return result;
  if (result.kind !== "bits") return result;
  const { term, constant } = from.sum;
  const small =
    constant < 1n << 16n &&
    term.kind === "bits" &&
    term.bits.every((form, index) => index < 16 || form === 0);
  return small ? { ...result, sum: from.sum } : result;
}

function signExtend(bits: readonly Form[], from: number): Word {
  const sign = bits[from - 1] ?? 0;
  return fromBits(bits.map((form, index) => (index < from ? form : sign)));
}

function swapBytes(bits: readonly Form[], bytes: number): Form[] {
  const out: Form[] = [];
  for (let index = bytes - 1; index >= 0; index--)
    out.push(...bits.slice(8 * index, 8 * index + 8));
  return out;
}

function shift(
  op: "lsh" | "rsh" | "arsh",
  a: readonly Form[],
  by: Word,
  { width, symbols }: Context,
): Word {
  if (by.kind !== "number")
    return opaqueWord(
      symbols.blame([...a, ...bitsOf(by, symbols)], "a variable shift"),
      width,
    );
  const distance = Number(by.value & BigInt(width - 1));
  const low = a.slice(0, width);
  if (op === "lsh")
    return fromBits([...zeros.slice(0, distance), ...low].slice(0, width));
  const fill = op === "arsh" ? (low[width - 1] ?? 0) : 0;
  return fromBits([
    ...low.slice(distance),
    ...Array.from({ length: distance }, () => fill),
  ]);
}

function multiply(left: Word, right: Word, context: Context): Word {
  const { width, symbols } = context;
  const [factor, other] =
    right.kind === "number" ? [right, left] : [left, right];
  const bits = bitsOf(other, symbols).slice(0, width);
  if (factor.kind !== "number")
    return opaqueWord(
      symbols.blame([...bits, ...bitsOf(factor, symbols)], "mul"),
      width,
    );
  const value = BigInt.asUintN(width, factor.value);
  let sum: Word = number(0n);
  for (let index = 0; index < width; index++) {
    if (((value >> BigInt(index)) & 1n) === 0n) continue;
    const shifted = [...zeros.slice(0, index), ...bits].slice(0, width);
    sum = add(bitsOf(sum, symbols), shifted, 0, context);
  }
  return sum;
}

function divide(
  op: "div" | "mod",
  a: readonly Form[],
  by: Word,
  { width, symbols }: Context,
): Word {
  const low = a.slice(0, width);
  const divisor =
    by.kind === "number" ? BigInt.asUintN(width, by.value) : undefined;
  if (
    divisor !== undefined &&
    divisor > 0n &&
    (divisor & (divisor - 1n)) === 0n
  ) {
    const power = divisor.toString(2).length - 1;
    return fromBits(op === "div" ? low.slice(power) : low.slice(0, power));
  }
  const number = fromBits(low);
  if (number.kind === "number" && divisor !== undefined && divisor > 0n)
    return {
      kind: "number",
      value: op === "div" ? number.value / divisor : number.value % divisor,
    };
  const most =
    op === "mod" && divisor !== undefined && divisor > 0n
      ? (divisor - 1n).toString(2).length
      : width;
  return opaqueWord(symbols.blame([...low, ...bitsOf(by, symbols)], op), most);
}
