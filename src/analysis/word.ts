/**
 * Abstract 64-bit words: a number, a vector of bit forms, or a pointer.
 *
 * Bits are least significant first: bits[8 * i + j] is bit j of byte i, which is
 * bit 7 - j in network order. Arithmetic is exact on bits as long as no carry
 * depends on the input; above that it is opaque ("nonlinear").
 *
 * `sum` remembers that an opaque word is `term + constant`, because addresses of
 * L4 headers are computed as data + (14 + 4 * IHL).
 */
import type { BinaryOp, UnaryOp } from "../ir/index.ts";
import type { Form, Symbols } from "./symbols.ts";

/** What a pointer points into, more exactly than ir's regions. */
export type Target =
  | { readonly kind: "context" }
  /** `base` as in Atom: the pointer is base + 4 * IHL(base) + offset, or offset if base is 0. */
  | { readonly kind: "packet"; readonly base: number }
  | { readonly kind: "packet-end" }
  | { readonly kind: "slot"; readonly slot: number }
  | { readonly kind: "cell"; readonly cell: Cell }
  | { readonly kind: "map"; readonly map: string }
  | { readonly kind: "function"; readonly name: string }
  /** Memory that is no state of the program: ring buffer records, sockets. */
  | { readonly kind: "kernel" };

/** One value of a map, by the key that selected it. */
export interface Cell {
  readonly object: string;
  /** In the order of the key's bytes, each least significant bit first; absent: unknown. */
  readonly key: readonly Form[] | undefined;
  /** What made the pointer: value id of the lookup, -1 for global data, -2 for several. */
  readonly root: number;
}

export type Word =
  | { readonly kind: "number"; readonly value: bigint }
  | {
      readonly kind: "bits";
      readonly bits: readonly Form[];
      readonly sum?: { readonly term: Word; readonly constant: bigint };
    }
  /** Null, or this. */
  | {
      readonly kind: "pointer";
      readonly target: Target;
      /** Undefined: somewhere in it. */
      readonly offset: number | undefined;
    };

const ZEROS: readonly Form[] = Array.from({ length: 64 }, () => 0);

export function number(value: bigint): Word {
  return { kind: "number", value: BigInt.asUintN(64, value) };
}

export function pointer(target: Target, offset: number | undefined): Word {
  return { kind: "pointer", target, offset };
}

/** All bits below `width` opaque for one reason, zeros above. */
export function opaqueWord(form: Form, width = 64): Word {
  return {
    kind: "bits",
    bits: ZEROS.map((zero, index) => (index < width ? form : zero)),
  };
}

/** Low bits given, zeros above; a number when all are constant. */
export function fromBits(low: readonly Form[]): Word {
  let value = 0n;
  let constant = true;
  for (let index = 0; index < low.length && constant; index++) {
    if (low[index] === 1) value |= 1n << BigInt(index);
    else if (low[index] !== 0) constant = false;
  }
  if (constant) return { kind: "number", value };
  if (low.length >= 64) return { kind: "bits", bits: low.slice(0, 64) };
  return { kind: "bits", bits: [...low, ...ZEROS.slice(low.length)] };
}

export function bitsOf(word: Word, symbols: Symbols): readonly Form[] {
  switch (word.kind) {
    case "number": {
      let rest = word.value;
      if (rest === 0n) return ZEROS;
      const bits: Form[] = [];
      while (rest !== 0n) {
        let chunk = Number(rest & 0xffffn);
        for (let index = 0; index < 16; index++, chunk >>= 1)
          bits.push(chunk & 1);
        rest >>= 16n;
      }
      while (bits.length < 64) bits.push(0);
      return bits;
    }
    case "bits":
      return word.bits;
    case "pointer":
      return ZEROS.map(() => symbols.unknown("an address"));
  }
}

export function sameWord(left: Word, right: Word): boolean {
  if (left === right) return true;
  if (left.kind === "number")
    return right.kind === "number" && left.value === right.value;
  if (left.kind === "bits")
    return (
      right.kind === "bits" &&
      sameForms(left.bits, right.bits) &&
      sameSum(left.sum, right.sum)
    );
  return (
    right.kind === "pointer" &&
    left.offset === right.offset &&
    sameTarget(left.target, right.target)
  );
}

export function sameForms(
  left: readonly Form[] | undefined,
  right: readonly Form[] | undefined,
): boolean {
  if (left === right) return true;
  if (left?.length !== right?.length) return false;
  if (left === undefined || right === undefined) return false;
  for (let index = 0; index < left.length; index++)
    if (left[index] !== right[index]) return false;
  return true;
}

/** Least upper bound: what both agree on, opaque elsewhere. */
export function joinWords(left: Word, right: Word, symbols: Symbols): Word {
  if (sameWord(left, right)) return left;
  const joined = symbols.unknown("paths that disagree meet");
  if (left.kind === "pointer" || right.kind === "pointer") {
    if (isNull(left)) return right;
    if (isNull(right)) return left;
    if (left.kind !== "pointer" || right.kind !== "pointer")
      return opaqueWord(joined);
    const target = joinTargets(left.target, right.target);
    if (target === undefined) return opaqueWord(joined);
    return pointer(
      target,
      left.offset === right.offset && sameTarget(left.target, right.target)
        ? left.offset
        : target.kind === "packet" || left.offset !== right.offset
          ? undefined
          : left.offset,
    );
  }
  const a = bitsOf(left, symbols);
  const b = bitsOf(right, symbols);
  return fromBits(a.map((form, index) => symbols.join(form, b[index] ?? 0)));
}

/** Everything that two words do not share becomes opaque at once. */
export function widenWords(before: Word, after: Word, symbols: Symbols): Word {
  if (sameWord(before, after)) return before;
  if (before.kind === "pointer" && after.kind === "pointer")
    return joinWords(before, after, symbols);
  return opaqueWord(symbols.unknown("changes in a loop"));
}

export function unary(op: UnaryOp, word: Word, symbols: Symbols): Word {
  if (word.kind === "pointer" && (op === "zext32" || op === "sext32"))
    return opaqueWord(symbols.unknown("an address"), 32);
  const bits = bitsOf(word, symbols);
  switch (op) {
    case "neg32":
      return add(bits.map(negate(symbols)), ZEROS, 1, { width: 32, symbols });
    case "neg64":
      return add(bits.map(negate(symbols)), ZEROS, 1, { width: 64, symbols });
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
      return withSum(add(a, b, 0, context), left, right);
    case "sub":
      return add(a, b.map(negate(symbols)), 1, context);
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

function sameSum(
  left: { term: Word; constant: bigint } | undefined,
  right: { term: Word; constant: bigint } | undefined,
): boolean {
  if (left === undefined || right === undefined) return left === right;
  return left.constant === right.constant && sameWord(left.term, right.term);
}

function sameTarget(left: Target, right: Target): boolean {
  switch (left.kind) {
    case "packet":
      return right.kind === "packet" && left.base === right.base;
    case "slot":
      return right.kind === "slot" && left.slot === right.slot;
    case "cell":
      return (
        right.kind === "cell" &&
        left.cell.object === right.cell.object &&
        left.cell.root === right.cell.root &&
        sameForms(left.cell.key, right.cell.key)
      );
    case "map":
      return right.kind === "map" && left.map === right.map;
    case "function":
      return right.kind === "function" && left.name === right.name;
    case "context":
    case "packet-end":
    case "kernel":
      return left.kind === right.kind;
  }
}

function joinTargets(left: Target, right: Target): Target | undefined {
  if (sameTarget(left, right)) return left;
  if (left.kind === "packet" && right.kind === "packet") return left;
  if (left.kind === "cell" && right.kind === "cell") {
    if (left.cell.object !== right.cell.object) return undefined;
    const sameKey = sameForms(left.cell.key, right.cell.key);
    return {
      kind: "cell",
      cell: {
        object: left.cell.object,
        key: sameKey ? left.cell.key : undefined,
        root: left.cell.root === right.cell.root ? left.cell.root : -2,
      },
    };
  }
  return undefined;
}

const isNull = (word: Word): boolean =>
  word.kind === "number" && word.value === 0n;

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
    return fromBits([...ZEROS.slice(0, distance), ...low].slice(0, width));
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
    const shifted = [...ZEROS.slice(0, index), ...bits].slice(0, width);
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
