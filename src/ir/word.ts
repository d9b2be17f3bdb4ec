/**
 * Arithmetic on 64-bit words as RFC 9669 defines it, for constants: operations
 * of width 32 work on the low halves and zero-extend; division by zero gives 0,
 * remainder by zero the dividend; shift counts are taken modulo the width.
 */
import type { BranchOp, Width } from "../isa/index.ts";
import type { BinaryOp, UnaryOp } from "./program.ts";

export function foldBinary(
  op: BinaryOp,
  width: Width,
  left: bigint,
  right: bigint,
): bigint {
  const a = BigInt.asUintN(width, left);
  const b = BigInt.asUintN(width, right);
  const signedA = BigInt.asIntN(width, left);
  const signedB = BigInt.asIntN(width, right);
  const count = b % BigInt(width);
  const result = ((): bigint => {
    switch (op) {
      case "add":
        return a + b;
      case "sub":
        return a - b;
      case "mul":
        return a * b;
      case "div":
        return b === 0n ? 0n : a / b;
      case "sdiv":
        return b === 0n ? 0n : signedA / signedB;
      case "mod":
        return b === 0n ? a : a % b;
      case "smod":
        return b === 0n ? signedA : signedA % signedB;
      case "or":
        return a | b;
      case "and":
        return a & b;
      case "xor":
        return a ^ b;
      case "lsh":
        return a << count;
      case "rsh":
        return a >> count;
      case "arsh":
        return signedA >> count;
    }
  })();
  return BigInt.asUintN(width, result);
}

export function foldUnary(op: UnaryOp, value: bigint): bigint {
  switch (op) {
    case "neg32":
      return BigInt.asUintN(32, -value);
    case "neg64":
      return BigInt.asUintN(64, -value);
    case "zext8":
    case "zext16":
    case "zext32":
      return BigInt.asUintN(Number(op.slice(4)), value);
    case "sext8":
    case "sext16":
    case "sext32":
      return BigInt.asUintN(64, BigInt.asIntN(Number(op.slice(4)), value));
    case "swap16":
    case "swap32":
    case "swap64":
      return swapped(value, Number(op.slice(4)));
  }
}

function swapped(value: bigint, bits: number): bigint {
  let result = 0n;
  for (let at = 0; at < bits; at += 8)
    result = (result << 8n) | ((value >> BigInt(at)) & 0xffn);
  return result;
}

export function foldExtract(
  value: bigint,
  start: number,
  size: number,
): bigint {
  return BigInt.asUintN(8 * size, value >> BigInt(8 * start));
}

export function foldConcat(
  parts: readonly { readonly value: bigint; readonly size: number }[],
): bigint {
  let result = 0n;
  let shift = 0n;
  for (const { value, size } of parts) {
    result |= BigInt.asUintN(8 * size, value) << shift;
    shift += BigInt(8 * size);
  }
  return BigInt.asUintN(64, result);
}

export function foldBranch(
  op: BranchOp,
  width: Width,
  left: bigint,
  right: bigint,
): boolean {
  const a = BigInt.asUintN(width, left);
  const b = BigInt.asUintN(width, right);
  const signedA = BigInt.asIntN(width, left);
  const signedB = BigInt.asIntN(width, right);
  switch (op) {
    case "jeq":
      return a === b;
    case "jne":
      return a !== b;
    case "jgt":
      return a > b;
    case "jge":
      return a >= b;
    case "jlt":
      return a < b;
    case "jle":
      return a <= b;
    case "jsgt":
      return signedA > signedB;
    case "jsge":
      return signedA >= signedB;
    case "jslt":
      return signedA < signedB;
    case "jsle":
      return signedA <= signedB;
    case "jset":
      return (a & b) !== 0n;
  }
}
