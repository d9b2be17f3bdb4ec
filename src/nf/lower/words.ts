/** Two operands as words with their ranges, and arithmetic on ranges. */
import type { BinaryOp, ValueId } from "../../ir/index.ts";
import type { Cursor } from "./lowering.ts";
import { scalarRange } from "./scalars.ts";
import type { Scalar, Value } from "./value.ts";

export interface Range {
  readonly low: bigint;
  readonly high: bigint;
}

export class Words {
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

export function powerOf2(value: bigint): bigint | undefined {
  if (value < 2n || (value & (value - 1n)) !== 0n) return undefined;
  return BigInt(value.toString(2).length - 1);
}

export function ones(value: bigint): bigint {
  return 2n ** BigInt(value.toString(2).length) - 1n;
}

export function hull(values: readonly bigint[]): Range {
  return { low: least(values), high: greatest(values) };
}

export function least(values: readonly bigint[]): bigint {
  return values.reduce((a, b) => (a < b ? a : b));
}

export function greatest(values: readonly bigint[]): bigint {
  return values.reduce((a, b) => (a > b ? a : b));
}

export function absolute(value: bigint): bigint {
  return value < 0n ? -value : value;
}
