/**
 * Comparisons as branches. What the ranges decide is not tested; words are
 * compared unsigned where neither side can be negative, which is also what lets
 * the kernel's verifier learn most.
 *
 * Idioms: swapN(x) = c is x = swapN(c); (x & c) ≠ 0 is `jset`.
 */
import type { ValueId } from "../../ir/index.ts";
import type { BranchOp } from "../../isa/index.ts";
import { type Branches, type Cursor } from "./lowering.ts";
import { reversed } from "./memory.ts";
import { isBigint } from "./operators.ts";
import { constantWord, scalarRange } from "./scalars.ts";
import type { Value } from "./value.ts";
import { bitsOf } from "./word-bits.ts";

export type Comparison = "===" | "!==" | "<" | "<=" | ">" | ">=";

const comparisons = "=== !== < <= > >=".split(" ");

export function isComparison(text: string): text is Comparison {
  return comparisons.includes(text);
}

/** Everything on one side. */
export function decided(cursor: Cursor, holds: boolean): Branches {
  const { path } = cursor;
  return holds ? { yes: [path], no: [] } : { yes: [], no: [path] };
}

export function branchOn(
  cursor: Cursor,
  op: BranchOp,
  left: ValueId,
  right: ValueId,
): Branches {
  const yes = cursor.fork();
  const no = cursor.fork();
  cursor.writer.branch(cursor.block, { op, left, right }, yes.block, no.block);
  return { yes: [yes], no: [no] };
}

/** Is a pointer, number or boolean other than 0? */
export function branchNonZero(cursor: Cursor, word: ValueId): Branches {
  return branchOn(cursor, "jne", word, cursor.constant(0));
}

/** Two numbers, two bigints or two booleans. */
export function compare(
  cursor: Cursor,
  op: Comparison,
  left: Value,
  right: Value,
): Branches {
  const a = scalarRange(left);
  const b = scalarRange(right);
  const known = decide(op, a, b);
  if (known !== undefined) return decided(cursor, known);
  if (op === "===" || op === "!==") {
    const equal = branchEqual(cursor, left, right);
    return op === "===" ? equal : { yes: equal.no, no: equal.yes };
  }
  if (isBigint(left) || isBigint(right)) {
    const split = mixedSigns(cursor, op, left, right);
    if (split !== undefined) return split;
  }
  const signed = a.low < 0n || b.low < 0n;
  return branchOn(
    cursor,
    (signed ? signedOps : unsignedOps)[op],
    cursor.word(left),
    cursor.word(right),
  );
}

const unsignedOps = {
  "<": "jlt",
  "<=": "jle",
  ">": "jgt",
  ">=": "jge",
} as const;
const signedOps = {
  "<": "jslt",
  "<=": "jsle",
  ">": "jsgt",
  ">=": "jsge",
} as const;

interface Range {
  readonly low: bigint;
  readonly high: bigint;
}

function decide(op: Comparison, a: Range, b: Range): boolean | undefined {
  const below = a.high < b.low;
  const above = a.low > b.high;
  const one = a.low === a.high && b.low === b.high && a.low === b.low;
  switch (op) {
    case "===":
      return below || above ? false : one ? true : undefined;
    case "!==":
      return below || above ? true : one ? false : undefined;
    case "<":
      return below ? true : a.low >= b.high ? false : undefined;
    case "<=":
      return a.high <= b.low ? true : above ? false : undefined;
    case ">":
      return above ? true : a.high <= b.low ? false : undefined;
    case ">=":
      return a.low >= b.high ? true : below ? false : undefined;
  }
}

/** One side may be negative, the other beyond a signed word: the sign is looked at first. */
function mixedSigns(
  cursor: Cursor,
  op: "<" | "<=" | ">" | ">=",
  left: Value,
  right: Value,
): Branches | undefined {
  const isWide = (value: Value): boolean =>
    scalarRange(value).high >= 2n ** 63n;
  const isNegative = (value: Value): boolean => scalarRange(value).low < 0n;
  const leftNegative = isNegative(left) && isWide(right);
  if (!leftNegative && !(isNegative(right) && isWide(left))) return undefined;
  const suspect = leftNegative ? left : right;
  const word = cursor.word(suspect);
  const sign = branchOn(cursor, "jslt", word, cursor.constant(0));
  const less = op === "<" || op === "<=";
  cursor.paths = sign.no;
  const rest = branchOn(
    cursor,
    unsignedOps[op],
    cursor.word(left),
    cursor.word(right),
  );
  return leftNegative === less
    ? { yes: [...sign.yes, ...rest.yes], no: rest.no }
    : { yes: rest.yes, no: [...sign.yes, ...rest.no] };
}

function branchEqual(cursor: Cursor, left: Value, right: Value): Branches {
  const [value, constant] =
    left.kind === "constant" ? [right, left] : [left, right];
  const number =
    constant.kind === "constant" ? constantWord(constant.value) : undefined;
  if (number !== undefined) return equalsConstant(cursor, value, number);
  const split = equalsMixed(cursor, left, right);
  if (split !== undefined) return split;
  return branchOn(cursor, "jeq", cursor.word(left), cursor.word(right));
}

/** A negative bigint and one beyond a signed word may share a word and differ. */
function equalsMixed(
  cursor: Cursor,
  left: Value,
  right: Value,
): Branches | undefined {
  const [a, b] = [scalarRange(left), scalarRange(right)];
  const mixed =
    (a.low < 0n && b.high >= 2n ** 63n) || (b.low < 0n && a.high >= 2n ** 63n);
  if (!mixed) return undefined;
  const suspect = cursor.word(a.low < 0n ? left : right);
  const sign = branchOn(cursor, "jslt", suspect, cursor.constant(0));
  cursor.paths = sign.no;
  const rest = branchOn(cursor, "jeq", cursor.word(left), cursor.word(right));
  return { yes: rest.yes, no: [...sign.yes, ...rest.no] };
}

function equalsConstant(
  cursor: Cursor,
  value: Value,
  number: bigint,
): Branches {
  const { writer } = cursor;
  const word = cursor.word(value);
  const definition = writer.definition(word);
  if (definition?.kind === "unary" && definition.op.startsWith("swap")) {
    const bits = Number(definition.op.slice(4));
    const of = (at: ValueId) => writer.definition(at);
    if (number >= 0n && bitsOf(definition.value, of) <= bits) {
      const swapped = cursor.constant(reversed(number, bits / 8));
      return branchOn(cursor, "jeq", definition.value, swapped);
    }
  }
  if (
    number === 0n &&
    definition?.kind === "binary" &&
    definition.op === "and" &&
    definition.width === 64
  ) {
    const mask = writer.constantOf(definition.right);
    if (mask !== undefined && mask < 2n ** 31n)
      return flipped(testBits(cursor, definition.left, mask));
  }
  return branchOn(cursor, "jeq", word, cursor.constant(number));
}

function flipped({ yes, no }: Branches): Branches {
  return { yes: no, no: yes };
}

/** Is any bit of the mask set? Bytes are not swapped for the question. */
function testBits(cursor: Cursor, word: ValueId, mask: bigint): Branches {
  const { writer } = cursor;
  const definition = writer.definition(word);
  if (definition?.kind === "unary" && definition.op.startsWith("swap")) {
    const bits = Number(definition.op.slice(4));
    if (mask < 2n ** BigInt(bits)) {
      const swapped = reversed(mask, bits / 8);
      if (swapped < 2n ** 31n)
        return branchOn(
          cursor,
          "jset",
          definition.value,
          cursor.constant(swapped),
        );
    }
  }
  return branchOn(cursor, "jset", word, cursor.constant(mask));
}
