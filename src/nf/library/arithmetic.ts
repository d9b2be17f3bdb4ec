/**
 * Arithmetic that JavaScript's operators do not offer in one exact step. The
 * compiler knows these functions by name and proves what it must of their
 * operands; here they are plain JavaScript.
 */
import { Bug } from "../../base/index.ts";

/** The lesser of two numbers, or of two bigints. */
export function min(a: number, b: number): number;
export function min(a: bigint, b: bigint): bigint;
export function min(a: number | bigint, b: number | bigint): number | bigint {
  return a < b ? a : b;
}

/** The greater of two numbers, or of two bigints. */
export function max(a: number, b: number): number;
export function max(a: bigint, b: bigint): bigint;
export function max(a: number | bigint, b: number | bigint): number | bigint {
  return a > b ? a : b;
}

/** a / b of integers, towards zero; b is not 0. */
export function div(a: number, b: number): number {
  if (b === 0) throw new Bug("division by zero");
  // -0 is 0: BPF has one zero.
  return Math.trunc(a / b) + 0;
}

/** The low 32 bits of a product, whatever its size. */
export function mul32(a: number, b: number): number {
  return Math.imul(a, b) >>> 0;
}
