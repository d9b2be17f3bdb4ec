import { deepEqual, equal } from "node:assert/strict";
import process from "node:process";
import { test } from "node:test";
import { Random } from "../base/index.ts";
import type { BinaryOp, UnaryOp } from "../ir/index.ts";
import { Symbols, type Form } from "./symbols.ts";
import { binary, unary } from "./arithmetic.ts";
import { bitsOf, fromBits, joinWords, number, type Word } from "./word.ts";

const seed = Number(process.env["DIVISI_SEED"] ?? 7);
const mask = (value: bigint, width: number) => BigInt.asUintN(width, value);

/** What the op does to numbers (RFC 9669 section 4.1). */
// prettier-ignore
const concrete: Readonly<Record<BinaryOp, (a: bigint, b: bigint, width: number) => bigint>> = {
  add: (a, b) => a + b, sub: (a, b) => a - b, mul: (a, b) => a * b,
  div: (a, b) => (b === 0n ? 0n : a / b), mod: (a, b) => (b === 0n ? a : a % b),
  sdiv: (a, b, width) => (b === 0n ? 0n : BigInt.asIntN(width, a) / BigInt.asIntN(width, b)),
  smod: (a, b, width) => (b === 0n ? a : BigInt.asIntN(width, a) % BigInt.asIntN(width, b)),
  or: (a, b) => a | b, and: (a, b) => a & b, xor: (a, b) => a ^ b,
  lsh: (a, b, width) => a << (b % BigInt(width)), rsh: (a, b, width) => a >> (b % BigInt(width)),
  arsh: (a, b, width) => BigInt.asIntN(width, a) >> (b % BigInt(width)),
};

const swap = (value: bigint, bytes: number): bigint => {
  let out = 0n;
  for (let at = 0; at < bytes; at++)
    out = (out << 8n) | ((value >> BigInt(8 * at)) & 0xffn);
  return out;
};

// prettier-ignore
const concreteUnary: Readonly<Record<UnaryOp, (value: bigint) => bigint>> = {
  neg32: (v) => mask(-v, 32), neg64: (v) => mask(-v, 64),
  zext8: (v) => mask(v, 8), zext16: (v) => mask(v, 16), zext32: (v) => mask(v, 32),
  sext8: (v) => mask(BigInt.asIntN(8, v), 64), sext16: (v) => mask(BigInt.asIntN(16, v), 64),
  sext32: (v) => mask(BigInt.asIntN(32, v), 64),
  swap16: (v) => swap(v, 2), swap32: (v) => swap(v, 4), swap64: (v) => swap(v, 8),
};

/** A draw of the input bits, under which linear forms have values. */
class Assignment {
  readonly #values = new Map<number, number>();
  readonly #random: Random;
  readonly #symbols: Symbols;
  constructor(random: Random, symbols: Symbols) {
    this.#random = random;
    this.#symbols = symbols;
  }
  form(form: Form): number {
    return this.#symbols.atoms(form).reduce((sum, atom) => {
      const known = this.#values.get(atom) ?? this.#random.below(2);
      this.#values.set(atom, known);
      return sum ^ known;
    }, form & 1);
  }
  /** The word's value; all its bits must be linear. */
  value(word: Word): bigint {
    return bitsOf(word, this.#symbols).reduce(
      (sum, form, at) => sum | (BigInt(this.form(form)) << BigInt(at)),
      0n,
    );
  }
  /** Bits of `word` that are linear and differ from `value`. */
  wrong(word: Word, value: bigint): readonly number[] {
    return bitsOf(word, this.#symbols).flatMap((form, at) =>
      form >= 0 && this.form(form) !== Number((value >> BigInt(at)) & 1n)
        ? [at]
        : [],
    );
  }
}

function drawWord(random: Random, symbols: Symbols): Word {
  const kind = random.below(4);
  if (kind === 0) return number(BigInt(random.below(64)));
  if (kind === 1) return number(random.u64());
  const width = random.pick([8, 16, 32, 64]);
  const byte = random.below(8);
  return fromBits(
    Array.from({ length: width }, (_, at) => {
      const one = symbols.input("packet", 0, byte + (at >> 3), 7 - (at & 7));
      return random.chance(0.2) ? random.below(2) : one ^ random.below(2);
    }),
  );
}

test(`linear bits of a result have the value that numbers give (seed ${seed})`, () => {
  const random = new Random(seed);
  const symbols = new Symbols();
  for (let count = 0; count < 4000; count++) {
    const op = random.pick(Object.keys(concrete) as BinaryOp[]);
    const width = random.pick([32, 64] as const);
    const left = drawWord(random, symbols);
    const right = drawWord(random, symbols);
    const result = binary(op, { left, right }, width, symbols);
    const inputs = new Assignment(random, symbols);
    const a = mask(inputs.value(left), width);
    const b = mask(inputs.value(right), width);
    const want = mask(concrete[op](a, b, width), width);
    deepEqual(inputs.wrong(result, want), [], `${op}${width} ${a} ${b}`);
    const one = random.pick(Object.keys(concreteUnary) as UnaryOp[]);
    const value = inputs.value(left);
    deepEqual(
      inputs.wrong(unary(one, left, symbols), concreteUnary[one](value)),
      [],
      `${one} ${value}`,
    );
  }
});

test("exact where no carry depends on the input", () => {
  const symbols = new Symbols();
  const bytes = (from: number, count: number): Form[] =>
    Array.from({ length: 8 * count }, (_, at) =>
      symbols.input("packet", 0, from + (at >> 3), 7 - (at & 7)),
    );
  const low = fromBits(bytes(12, 1));
  const high = fromBits(bytes(13, 1));
  const shifted = binary("lsh", { left: high, right: number(8n) }, 32, symbols);
  const want = bytes(12, 2);
  for (const op of ["or", "add", "xor"] as const)
    deepEqual(
      bitsOf(
        binary(op, { left: low, right: shifted }, 32, symbols),
        symbols,
      ).slice(0, 16),
      want,
      op,
    );
  // x - x, x ^ x and a mask of what is known to be zero are numbers.
  for (const op of ["sub", "xor"] as const)
    deepEqual(binary(op, { left: low, right: low }, 64, symbols), number(0n));
  const sum = binary("add", { left: low, right: number(6n) }, 64, symbols);
  const bits = bitsOf(sum, symbols);
  equal(bits[0], want[0]);
  equal(bits[1], (want[1] ?? 0) ^ 1);
  equal(
    (bits[3] ?? 0) < 0,
    true,
    "a carry that depends on the input is opaque",
  );
});

test("a join keeps what both sides agree on", () => {
  const symbols = new Symbols();
  const left = number(0x0800n);
  const joined = joinWords(left, number(0x0806n), symbols);
  const opaque = bitsOf(joined, symbols).flatMap((form, at) =>
    form < 0 ? [at] : [],
  );
  deepEqual(opaque, [1, 2]);
  deepEqual(joinWords(left, left, symbols), left);
});
