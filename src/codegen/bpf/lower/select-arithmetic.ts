/**
 * Selection of what computes: two operands, one, and bytes taken out of words and
 * put together. A constant stands on the right, as an immediate where it fits.
 */
import type { IrInstruction, ValueId } from "../../../ir/index.ts";
import type { LowOperand, Virtual } from "./low-code.ts";
import type { LowAlu, Sequence } from "./select-sequence.ts";

const commutative: ReadonlySet<LowAlu> = new Set([
  "add",
  "mul",
  "or",
  "and",
  "xor",
]);

export function selectBinary(
  instruction: IrInstruction & { readonly kind: "binary" },
  dst: Virtual,
  to: Sequence,
): void {
  const { op } = instruction;
  const { operands } = to;
  let { left, right } = instruction;
  if (
    commutative.has(op) &&
    operands.constant(right) === undefined &&
    operands.constant(left) !== undefined
  )
    [left, right] = [right, left];
  const word = operands.constant(right);
  if (word !== undefined) {
    const { width } = instruction;
    const number = BigInt.asUintN(width, word);
    if (op === "and" && width === 64 && number === 0xffff_ffffn) {
      to.move(dst, operands.register(left, to.front), 32);
      return;
    }
    // No immediate: shift counts past the width, divisors of zero.
    if (op === "lsh" || op === "rsh" || op === "arsh") {
      const count = Number(number & BigInt(width - 1));
      const source = operands.register(left, to.front);
      if (count === 0) to.move(dst, source, width);
      else to.alu(op, width, { dst, left: source, right: count });
      return;
    }
  }
  if ((op === "sdiv" || op === "smod") && !to.isV4) {
    selectSigned(instruction, dst, to);
    return;
  }
  const divides = op.endsWith("div") || op.endsWith("mod");
  const width = isHalf(instruction, left, to) ? 32 : instruction.width;
  const source = operands.register(left, to.front);
  const operand =
    divides && word !== undefined && BigInt.asUintN(width, word) === 0n
      ? ({
          kind: "virtual",
          virtual: operands.register(right, to.front),
        } as const)
      : operands.operand(right, width, to.front);
  to.alu(op, width, { dst, left: source, right: operand });
}

/** Does the operation at 64 bits with this constant give what it gives at 32? */
function isHalf(
  { op, width, left, right }: IrInstruction & { readonly kind: "binary" },
  source: ValueId,
  { operands }: Sequence,
): boolean {
  const word = operands.constant(source === left ? right : left);
  if (width === 32 || word === undefined || word > 0xffff_ffffn) return false;
  // An immediate does as it is.
  if (word <= 0x7fff_ffffn) return false;
  if (op === "and") return true;
  const keeps = ["or", "xor", "div", "mod"].includes(op);
  return keeps && operands.bits(source) <= 32;
}

/**
 * Signed division from unsigned, with sign s = x s>> 63 and |x| = (x ^ s) − s:
 *
 *   a s/ b = (|a| / |b| ^ t) − t   with t = s(a) ^ s(b)
 *   a s% b = (|a| % |b| ^ t) − t   with t = s(a)
 *
 * Division by zero gives 0 and the remainder a, as the instructions would.
 */
function selectSigned(
  instruction: IrInstruction & { readonly kind: "binary" },
  dst: Virtual,
  to: Sequence,
): void {
  const { op, width, left, right } = instruction;
  const { operands } = to;
  const last = width - 1;
  const kept = (virtual: Virtual): LowOperand => ({ kind: "virtual", virtual });
  const magnitude = (value: ValueId): { sign: Virtual; size: Virtual } => {
    const word = operands.register(value, to.front);
    const sign = to.temporary();
    to.alu("arsh", width, { dst: sign, left: word, right: last });
    const flipped = to.temporary();
    to.alu("xor", width, { dst: flipped, left: word, right: kept(sign) });
    const size = to.temporary();
    to.alu("sub", width, { dst: size, left: flipped, right: kept(sign) });
    return { sign, size };
  };
  const a = magnitude(left);
  const b = magnitude(right);
  const result = to.temporary();
  to.alu(op === "sdiv" ? "div" : "mod", width, {
    dst: result,
    left: a.size,
    right: kept(b.size),
  });
  let { sign } = a;
  if (op === "sdiv") {
    sign = to.temporary();
    to.alu("xor", width, { dst: sign, left: a.sign, right: kept(b.sign) });
  }
  const signed = to.temporary();
  to.alu("xor", width, { dst: signed, left: result, right: kept(sign) });
  to.alu("sub", width, { dst, left: signed, right: kept(sign) });
}

export function selectUnary(
  { op, value }: IrInstruction & { readonly kind: "unary" },
  dst: Virtual,
  to: Sequence,
): void {
  const left = to.operands.register(value, to.front);
  const { at } = to;
  switch (op) {
    case "neg32":
    case "neg64":
      to.list.push({
        kind: "neg",
        width: op === "neg32" ? 32 : 64,
        dst,
        left,
        at,
      });
      return;
    case "zext8":
      to.mask(dst, left, 8);
      return;
    case "zext16":
      to.mask(dst, left, 16);
      return;
    case "zext32":
      to.mask(dst, left, 32);
      return;
    case "sext8":
      to.signExtend(dst, left, 8);
      return;
    case "sext16":
      to.signExtend(dst, left, 16);
      return;
    case "sext32":
      to.signExtend(dst, left, 32);
      return;
    case "swap16":
      to.list.push({ kind: "endian", op: "be16", dst, left, at });
      return;
    case "swap32":
      to.list.push({ kind: "endian", op: "be32", dst, left, at });
      return;
    case "swap64":
      to.list.push({ kind: "endian", op: "be64", dst, left, at });
      return;
  }
}

export function selectExtract(
  { value, start, size }: IrInstruction & { readonly kind: "extract" },
  dst: Virtual,
  to: Sequence,
): void {
  const left = to.operands.register(value, to.front);
  if (start === 0) {
    to.mask(dst, left, 8 * size);
    return;
  }
  // Nothing above the bytes that are wanted?
  const isTop = to.operands.bits(value) <= 8 * (start + size);
  const shifted = isTop ? dst : to.temporary();
  to.alu("rsh", 64, { dst: shifted, left, right: 8 * start });
  if (!isTop) to.mask(dst, shifted, 8 * size);
}

export function selectConcat(
  { parts }: IrInstruction & { readonly kind: "concat" },
  dst: Virtual,
  to: Sequence,
): void {
  const { operands } = to;
  let known = 0n;
  let start = 0;
  const words: Virtual[] = [];
  for (const { value, size } of parts) {
    const from = start;
    start += size;
    const constant = operands.constant(value);
    if (constant !== undefined) {
      known |= BigInt.asUintN(8 * size, constant) << BigInt(8 * from);
      continue;
    }
    let word = operands.register(value, to.front);
    // What a shift pushes out of the word needs no mask.
    if (operands.bits(value) > 8 * size && from + size < 8)
      word = to.mask(to.temporary(), word, 8 * size);
    if (from > 0)
      word = to.alu("lsh", 64, {
        dst: to.temporary(),
        left: word,
        right: 8 * from,
      });
    words.push(word);
  }
  if (known !== 0n || words.length === 0) {
    const word = to.temporary();
    const value = { kind: "constant", value: known } as const;
    to.list.push({ kind: "make", dst: word, value, at: to.at });
    words.push(word);
  }
  const [first = dst, ...others] = words;
  const last = others.pop();
  if (last === undefined) {
    to.move(dst, first, 64);
    return;
  }
  const right = (virtual: Virtual): LowOperand => ({
    kind: "virtual",
    virtual,
  });
  let sum = first;
  for (const word of others)
    sum = to.alu("or", 64, {
      dst: to.temporary(),
      left: sum,
      right: right(word),
    });
  to.alu("or", 64, { dst, left: sum, right: right(last) });
}
