/**
 * Arithmetic and comparisons on 64-bit words, as steps of threaded code.
 *
 * A frame is a DataView: slot i holds its word at byte 8·i, little-endian. The
 * makers below take slot numbers and return a function that does one operation
 * on a frame and answers the number of the next step. Bytecode and IR both
 * compile to these, so a semantic is written once.
 *
 * Words are handled as two 32-bit halves where that is as plain as BigInt would be,
 * and as BigInt where it is not (multiplication, division).
 *
 * Source: RFC 9669 section 4.1 (arithmetic; division by zero gives 0, modulo by
 * zero the dividend; shift counts masked; 32-bit results zero-extended).
 */
import type { BinaryOp, UnaryOp } from "../ir/index.ts";
import type { BranchOp, Width } from "../isa/index.ts";

/** Does one operation on a frame; answers the next step, or one of the two below. */
export type Step = (frame: DataView) => number;
/** The function returned; its result is in slot 0. */
export const returned = -1;
/** The frame is replaced by the function that the machine remembers. */
export const tailCalled = -2;

/** What a binary operation needs: result and operand slots, the step after. */
export interface Binary {
  readonly d: number;
  readonly l: number;
  readonly r: number;
  readonly next: number;
}

export type BinaryStep = (operands: Binary) => Step;
type Halves = (low: number, high: number, low2: number, high2: number) => void;

// The result of a 64-bit operation in halves: one machine step at a time runs.
let resultLow = 0;
let resultHigh = 0;

function byHalves(operation: Halves): BinaryStep {
  return ({ d, l, r, next }) => {
    const [at, left, right] = [8 * d, 8 * l, 8 * r];
    return (frame) => {
      operation(
        frame.getUint32(left, true),
        frame.getUint32(left + 4, true),
        frame.getUint32(right, true),
        frame.getUint32(right + 4, true),
      );
      frame.setUint32(at, resultLow, true);
      frame.setUint32(at + 4, resultHigh, true);
      return next;
    };
  };
}

function unsigned64(operation: (l: bigint, r: bigint) => bigint): BinaryStep {
  return ({ d, l, r, next }) => {
    const [at, left, right] = [8 * d, 8 * l, 8 * r];
    return (frame) => {
      const value = operation(
        frame.getBigUint64(left, true),
        frame.getBigUint64(right, true),
      );
      frame.setBigUint64(at, value, true);
      return next;
    };
  };
}

function signed64(operation: (l: bigint, r: bigint) => bigint): BinaryStep {
  return ({ d, l, r, next }) => {
    const [at, left, right] = [8 * d, 8 * l, 8 * r];
    return (frame) => {
      const value = operation(
        frame.getBigInt64(left, true),
        frame.getBigInt64(right, true),
      );
      frame.setBigInt64(at, value, true);
      return next;
    };
  };
}

/** Operands unsigned; the result is taken modulo 2^32 and zero-extended. */
function unsigned32(operation: (l: number, r: number) => number): BinaryStep {
  return ({ d, l, r, next }) => {
    const [at, left, right] = [8 * d, 8 * l, 8 * r];
    return (frame) => {
      const value = operation(
        frame.getUint32(left, true),
        frame.getUint32(right, true),
      );
      frame.setUint32(at, value, true);
      frame.setUint32(at + 4, 0, true);
      return next;
    };
  };
}

const min64 = -(1n << 63n);

export const binarySteps: Readonly<
  Record<BinaryOp, Readonly<Record<Width, BinaryStep>>>
> = {
  add: {
    32: unsigned32((l, r) => l + r),
    64: byHalves((l, h, l2, h2) => {
      resultLow = l + l2;
      resultHigh = h + h2 + (resultLow > 0xffffffff ? 1 : 0);
    }),
  },
  sub: {
    32: unsigned32((l, r) => l - r),
    64: byHalves((l, h, l2, h2) => {
      resultLow = l - l2;
      resultHigh = h - h2 - (resultLow < 0 ? 1 : 0);
    }),
  },
  mul: {
    32: unsigned32((l, r) => Math.imul(l, r)),
    64: unsigned64((l, r) => l * r),
  },
  div: {
    32: unsigned32((l, r) => (r === 0 ? 0 : Math.floor(l / r))),
    64: unsigned64((l, r) => (r === 0n ? 0n : l / r)),
  },
  sdiv: {
    32: unsigned32((l, r) => (r === 0 ? 0 : Math.trunc((l | 0) / (r | 0)))),
    64: signed64((l, r) => {
      if (r === 0n) return 0n;
      return l === min64 && r === -1n ? min64 : l / r;
    }),
  },
  mod: {
    32: unsigned32((l, r) => (r === 0 ? l : l % r)),
    64: unsigned64((l, r) => (r === 0n ? l : l % r)),
  },
  smod: {
    32: unsigned32((l, r) => (r === 0 ? l : (l | 0) % (r | 0))),
    64: signed64((l, r) => (r === 0n ? l : l % r)),
  },
  or: {
    32: unsigned32((l, r) => l | r),
    64: byHalves((l, h, l2, h2) => {
      resultLow = l | l2;
      resultHigh = h | h2;
    }),
  },
  and: {
    32: unsigned32((l, r) => l & r),
    64: byHalves((l, h, l2, h2) => {
      resultLow = l & l2;
      resultHigh = h & h2;
    }),
  },
  xor: {
    32: unsigned32((l, r) => l ^ r),
    64: byHalves((l, h, l2, h2) => {
      resultLow = l ^ l2;
      resultHigh = h ^ h2;
    }),
  },
  lsh: {
    32: unsigned32((l, r) => l << (r & 31)),
    64: byHalves((l, h, count) => {
      const n = count & 63;
      resultLow = n < 32 ? l << n : 0;
      resultHigh =
        n >= 32 ? l << (n - 32) : n === 0 ? h : (h << n) | (l >>> (32 - n));
    }),
  },
  rsh: {
    32: unsigned32((l, r) => l >>> (r & 31)),
    64: byHalves((l, h, count) => {
      const n = count & 63;
      resultLow =
        n >= 32 ? h >>> (n - 32) : n === 0 ? l : (l >>> n) | (h << (32 - n));
      resultHigh = n < 32 ? h >>> n : 0;
    }),
  },
  arsh: {
    32: unsigned32((l, r) => (l | 0) >> (r & 31)),
    64: byHalves((l, h, count) => {
      const n = count & 63;
      const high = h | 0;
      resultLow =
        n >= 32
          ? high >> (n - 32)
          : n === 0
            ? l
            : (l >>> n) | (high << (32 - n));
      resultHigh = n < 32 ? high >> n : high >> 31;
    }),
  },
};

export interface Unary {
  readonly d: number;
  readonly s: number;
  readonly next: number;
}
export type UnaryStep = (operands: Unary) => Step;

/** From the low half; the high half of the result is zero. */
function fromLow(operation: (low: number) => number): UnaryStep {
  return ({ d, s, next }) => {
    const [at, from] = [8 * d, 8 * s];
    return (frame) => {
      const value = operation(frame.getUint32(from, true));
      frame.setUint32(at, value, true);
      frame.setUint32(at + 4, 0, true);
      return next;
    };
  };
}

/** From the low half; the high half repeats the sign of the result. */
function signedFromLow(operation: (low: number) => number): UnaryStep {
  return ({ d, s, next }) => {
    const [at, from] = [8 * d, 8 * s];
    return (frame) => {
      const value = operation(frame.getUint32(from, true));
      frame.setInt32(at, value, true);
      frame.setInt32(at + 4, value >> 31, true);
      return next;
    };
  };
}

export const copyStep: UnaryStep = ({ d, s, next }) => {
  const [at, from] = [8 * d, 8 * s];
  return (frame) => {
    frame.setUint32(at, frame.getUint32(from, true), true);
    frame.setUint32(at + 4, frame.getUint32(from + 4, true), true);
    return next;
  };
};

export const unarySteps: Readonly<Record<UnaryOp, UnaryStep>> = {
  neg32: fromLow((low) => -low),
  neg64: ({ d, s, next }) => {
    const [at, from] = [8 * d, 8 * s];
    return (frame) => {
      frame.setBigInt64(at, -frame.getBigInt64(from, true), true);
      return next;
    };
  },
  zext8: fromLow((low) => low & 0xff),
  zext16: fromLow((low) => low & 0xffff),
  zext32: fromLow((low) => low),
  sext8: signedFromLow((low) => (low << 24) >> 24),
  sext16: signedFromLow((low) => (low << 16) >> 16),
  sext32: signedFromLow((low) => low | 0),
  swap16: fromLow((low) => ((low & 0xff) << 8) | ((low >>> 8) & 0xff)),
  swap32: fromLow(swap32),
  swap64: ({ d, s, next }) => {
    const [at, from] = [8 * d, 8 * s];
    return (frame) => {
      const low = frame.getUint32(from, true);
      frame.setUint32(at, swap32(frame.getUint32(from + 4, true)), true);
      frame.setUint32(at + 4, swap32(low), true);
      return next;
    };
  },
};

function swap32(value: number): number {
  const odd = ((value & 0xff00ff) << 8) | ((value >>> 8) & 0xff00ff);
  return (odd << 16) | (odd >>> 16);
}

/** Does the branch go to its target? `l` and `r` are slots. */
export type Condition = (frame: DataView) => boolean;
type ConditionMaker = (l: number, r: number) => Condition;

function compare32(test: (l: number, r: number) => boolean): ConditionMaker {
  return (l, r) => {
    const [left, right] = [8 * l, 8 * r];
    return (frame) =>
      test(frame.getUint32(left, true), frame.getUint32(right, true));
  };
}

function compare64(
  test: (l: number, h: number, l2: number, h2: number) => boolean,
): ConditionMaker {
  return (l, r) => {
    const [left, right] = [8 * l, 8 * r];
    return (frame) =>
      test(
        frame.getUint32(left, true),
        frame.getUint32(left + 4, true),
        frame.getUint32(right, true),
        frame.getUint32(right + 4, true),
      );
  };
}

// prettier-ignore
export const conditions: Readonly<
  Record<BranchOp, Readonly<Record<Width, ConditionMaker>>>
> = {
  jeq: { 32: compare32((l, r) => l === r), 64: compare64((l, h, l2, h2) => l === l2 && h === h2) },
  jne: { 32: compare32((l, r) => l !== r), 64: compare64((l, h, l2, h2) => l !== l2 || h !== h2) },
  jgt: { 32: compare32((l, r) => l > r), 64: compare64((l, h, l2, h2) => h > h2 || (h === h2 && l > l2)) },
  jge: { 32: compare32((l, r) => l >= r), 64: compare64((l, h, l2, h2) => h > h2 || (h === h2 && l >= l2)) },
  jlt: { 32: compare32((l, r) => l < r), 64: compare64((l, h, l2, h2) => h < h2 || (h === h2 && l < l2)) },
  jle: { 32: compare32((l, r) => l <= r), 64: compare64((l, h, l2, h2) => h < h2 || (h === h2 && l <= l2)) },
  jsgt: { 32: compare32((l, r) => (l | 0) > (r | 0)), 64: compare64((l, h, l2, h2) => (h | 0) > (h2 | 0) || (h === h2 && l > l2)) },
  jsge: { 32: compare32((l, r) => (l | 0) >= (r | 0)), 64: compare64((l, h, l2, h2) => (h | 0) > (h2 | 0) || (h === h2 && l >= l2)) },
  jslt: { 32: compare32((l, r) => (l | 0) < (r | 0)), 64: compare64((l, h, l2, h2) => (h | 0) < (h2 | 0) || (h === h2 && l < l2)) },
  jsle: { 32: compare32((l, r) => (l | 0) <= (r | 0)), 64: compare64((l, h, l2, h2) => (h | 0) < (h2 | 0) || (h === h2 && l <= l2)) },
  jset: { 32: compare32((l, r) => (l & r) !== 0), 64: compare64((l, h, l2, h2) => (l & l2) !== 0 || (h & h2) !== 0) },
};
