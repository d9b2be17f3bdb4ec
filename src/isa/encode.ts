/**
 * Encode: instructions to bytes. Names are resolved by the caller's link
 * functions; a name that nobody resolves is a Bug of the caller. Distances are
 * computed from targets; one that does not fit its field is an InputError
 * (relaxJumps makes unconditional ones long beforehand).
 *
 * Law: decode(encode(instructions)) = instructions, for instructions without names.
 */
import { Bug, ByteWriter, InputError } from "../base/index.ts";
import { isRegister, member, rowOf, targetOf } from "./form.ts";
import type { FieldRole, InstructionRow } from "./instruction-table.ts";
import type { Callee, Instruction, WideValue } from "./instruction.ts";
import { slotOf, totalSlots } from "./slots.ts";

/** Source register field and immediates that stand for a named value. */
export interface LinkedValue {
  readonly pseudo: number;
  readonly low: number;
  readonly high: number;
}

export interface LinkedCall {
  readonly pseudo: number;
  /** Relative calls: slots from the next instruction; kfuncs: BTF id. */
  readonly value: number;
  /** Module slot of a kfunc, else 0. */
  readonly offset?: number;
}

/** Resolves names. `at` is the instruction's index, `slot` its first slot. */
export interface Link {
  readonly wide?: (value: WideValue, at: number, slot: number) => LinkedValue;
  readonly call?: (callee: Callee, at: number, slot: number) => LinkedCall;
  /** Byte order of the object; bpfel by default. */
  readonly littleEndian?: boolean;
}

interface Fields {
  dst: number;
  src: number;
  offset: number;
  imm: number;
  high: number;
}

export function encode(
  instructions: readonly Instruction[],
  link: Link = {},
): Uint8Array {
  const slots = slotOf(instructions);
  const writer = new ByteWriter(link.littleEndian ?? true);
  for (const [index, instruction] of instructions.entries()) {
    const row = rowOf(instruction);
    const slot = slots[index] ?? 0;
    const fields = row.symbolic
      ? linked(instruction, link, index, slot)
      : direct(row, instruction);
    const target = targetOf(instruction);
    if (target !== undefined) {
      const to = slots[target];
      if (to === undefined)
        throw new Bug(`instruction ${index} jumps to ${target}, out of it all`);
      if (row.offset === "target") fields.offset = to - slot - 1;
      else fields.imm = to - slot - 1;
    }
    write(writer, row, fields, index);
  }
  return writer.finish();
}

function direct(row: InstructionRow, instruction: Instruction): Fields {
  const value = (role: FieldRole): number => {
    if (typeof role === "number") return role;
    const found = member(instruction, role);
    return typeof found === "number" ? found : 0;
  };
  const fields: Fields = {
    dst: value(row.dst),
    src: value(row.src),
    offset: value(row.offset),
    imm: value(row.imm),
    high: row.high === undefined ? 0 : value(row.high),
  };
  if (instruction.kind !== "load-wide") return fields;
  if (instruction.value.kind === "number") {
    const wide = BigInt.asUintN(64, instruction.value.value);
    fields.imm = Number(wide & 0xffff_ffffn);
    fields.high = Number(wide >> 32n);
  }
  return fields;
}

function linked(
  instruction: Instruction,
  link: Link,
  at: number,
  slot: number,
): Fields {
  if (instruction.kind === "load-wide" && link.wide !== undefined) {
    const { pseudo, low, high } = link.wide(instruction.value, at, slot);
    return { dst: instruction.dst, src: pseudo, offset: 0, imm: low, high };
  }
  if (instruction.kind === "call" && link.call !== undefined) {
    const {
      pseudo,
      value,
      offset = 0,
    } = link.call(instruction.callee, at, slot);
    return { dst: 0, src: pseudo, offset, imm: value, high: 0 };
  }
  throw new Bug(`instruction ${at} names something, and nothing links it`);
}

function write(
  writer: ByteWriter,
  row: InstructionRow,
  fields: Fields,
  index: number,
): void {
  const { dst, src, offset, imm, high } = fields;
  if (!isRegister(dst) || !Number.isInteger(src) || src < 0 || src > 15)
    throw new Bug(`instruction ${index}: no registers ${dst}, ${src}`);
  if (offset < -0x8000 || offset > 0x7fff)
    throw new InputError(
      `instruction ${index}: ${row.offset === "target" ? "jump distance" : "offset"} ${offset} does not fit 16 bits`,
      { code: "insn-distance" },
    );
  writer.u8(row.opcode);
  writer.u8(writer.littleEndian ? (src << 4) | dst : (dst << 4) | src);
  writer.u16(offset & 0xffff);
  writer.u32(imm >>> 0);
  if (instructionIsWide(row)) writer.u32(0).u32(high >>> 0);
}

function instructionIsWide(row: InstructionRow): boolean {
  return row.sample.kind === "load-wide";
}

/** Short unconditional jumps that would not reach become long ones (kernel 6.6). */
export function relaxJumps(
  instructions: readonly Instruction[],
): readonly Instruction[] {
  const slots = slotOf(instructions);
  const total = totalSlots(instructions);
  return instructions.map((instruction, index) => {
    if (instruction.kind !== "jump" || instruction.long) return instruction;
    const distance =
      (slots[instruction.target] ?? total) - (slots[index] ?? 0) - 1;
    return distance < -0x8000 || distance > 0x7fff
      ? { ...instruction, long: true }
      : instruction;
  });
}
