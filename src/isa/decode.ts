/**
 * Decode: the bytes of one function to instructions. Total on bytes: a value or
 * an InputError with the offset of the slot at fault.
 *
 * Refused: a length that is no multiple of 8, an opcode or combination of
 * constants in no row, a reserved field that is not 0, a register above r10, a
 * 16-byte load without its second slot, a jump out of the function or into the
 * middle of a 16-byte load. Not refused: what only the kernel verifier knows
 * (writes to r10, falling off the end).
 *
 * Law: encode(decode(bytes)) = bytes.
 */
import { ByteReader, InputError } from "../base/index.ts";
import { build, isRegister, targetOf, withTarget } from "./form.ts";
import type { MemberValue } from "./form.ts";
import {
  instructionRows,
  type FieldRole,
  type InstructionRow,
  type MemberPath,
} from "./instruction-table.ts";
import type { Instruction } from "./instruction.ts";

export interface DecodeOptions {
  /** What the bytes are, for messages. */
  readonly what?: string;
  /** Offset of the bytes in their file, for messages. */
  readonly origin?: number;
  /** Byte order of the object; bpfel by default. */
  readonly littleEndian?: boolean;
}

export interface Decoded {
  readonly instructions: readonly Instruction[];
  /** First slot of each instruction. */
  readonly slots: readonly number[];
}

interface Fields {
  readonly opcode: number;
  readonly dst: number;
  readonly src: number;
  readonly offset: number;
  readonly imm: number;
}

const byOpcode = new Map<number, InstructionRow[]>();
for (const row of instructionRows) {
  if (row.symbolic) continue;
  const list = byOpcode.get(row.opcode);
  if (list === undefined) byOpcode.set(row.opcode, [row]);
  else list.push(row);
}
const wideOpcode = 0x18;

export function decode(
  bytes: Uint8Array,
  options: DecodeOptions = {},
): Decoded {
  const { what = "program", origin = 0, littleEndian = true } = options;
  const reader = new ByteReader(bytes, { littleEndian, what, origin });
  const fail = (code: string, slot: number, text: string): never => {
    throw new InputError(`${what}: ${text} in slot ${slot}`, {
      code,
      offset: origin + 8 * slot,
    });
  };
  const total = Math.floor(bytes.length / 8);
  if (bytes.length % 8 !== 0)
    fail("insn-truncated", total, "instruction cut off");

  const found: Instruction[] = [];
  const slots: number[] = [];
  // Instruction index by slot, -1 for the second slot of a 16-byte load.
  const indexOf = new Int32Array(total).fill(-1);
  for (let slot = 0; slot < total; slot++) {
    const at = slot;
    const fields = readFields(reader, slot);
    let high = 0;
    if (fields.opcode === wideOpcode) {
      if (slot + 1 === total)
        fail("insn-truncated", at, "16-byte load without its second slot");
      const second = readFields(reader, ++slot);
      high = second.imm;
      const rest = second.opcode | second.dst | second.src | second.offset;
      if (rest !== 0)
        fail("insn-reserved", slot, "second slot of a 16-byte load not zero");
    }
    const row = matchRow(fields);
    if (typeof row === "string")
      return fail(
        byOpcode.has(fields.opcode) ? "insn-reserved" : "insn-opcode",
        at,
        row,
      );
    const values = collect(row, fields, high);
    if (typeof values === "string") return fail("insn-register", at, values);
    indexOf[at] = found.length;
    slots.push(at);
    found.push(build(row, values));
  }

  const instructions = found.map((instruction, index) => {
    const distance = targetOf(instruction);
    if (distance === undefined) return instruction;
    const slot = slots[index] ?? 0;
    const target = slot + 1 + distance;
    if (target < 0 || target >= total)
      fail("insn-target", slot, `jump out of the function, to slot ${target},`);
    const to = indexOf[target] ?? -1;
    if (to < 0)
      fail("insn-target", slot, "jump into the middle of a 16-byte load");
    return withTarget(instruction, to);
  });
  return { instructions, slots };
}

function readFields(reader: ByteReader, slot: number): Fields {
  const at = 8 * slot;
  const registers = reader.u8(at + 1);
  const low = registers & 15;
  const high = registers >> 4;
  return {
    opcode: reader.u8(at),
    dst: reader.littleEndian ? low : high,
    src: reader.littleEndian ? high : low,
    offset: reader.i16(at + 2),
    imm: reader.i32(at + 4),
  };
}

const fieldNames = ["dst", "src", "offset", "imm"] as const;

/** The row whose constants all hold, or what is wrong. */
function matchRow(fields: Fields): InstructionRow | string {
  const candidates = byOpcode.get(fields.opcode);
  const hex = fields.opcode.toString(16).padStart(2, "0");
  if (candidates === undefined) return `unknown opcode 0x${hex}`;
  const row = candidates.find((candidate) =>
    fieldNames.every((name) => holds(candidate[name], fields[name])),
  );
  if (row !== undefined) return row;
  const shown = fieldNames.map((name) => `${name} ${fields[name]}`).join(", ");
  return `no form of opcode 0x${hex} has ${shown}`;
}

function holds(role: FieldRole, value: number): boolean {
  if (typeof role === "number") return role === value;
  if (role === "value.pseudo") return value >= 1 && value <= 6;
  if (role === "callee.pseudo") return value === 1 || value === 2;
  if (role === "callee.offset") return value !== 0;
  return true;
}

function collect(
  row: InstructionRow,
  fields: Fields,
  high: number,
): readonly (readonly [MemberPath, MemberValue])[] | string {
  const values: [MemberPath, MemberValue][] = [];
  for (const name of ["dst", "src"] as const) {
    const role = row[name];
    if (typeof role === "number") continue;
    const isPseudo = role.endsWith(".pseudo");
    if (!isPseudo && !isRegister(fields[name]))
      return `no register r${fields[name]}`;
    values.push([role, fields[name]]);
  }
  if (typeof row.offset !== "number") values.push([row.offset, fields.offset]);
  if (row.imm === "value.value") {
    const wide = (BigInt(high) << 32n) | BigInt(fields.imm >>> 0);
    values.push([row.imm, BigInt.asUintN(64, wide)]);
    return values;
  }
  if (row.imm === "register" && !isRegister(fields.imm))
    return `no register r${fields.imm}`;
  if (typeof row.imm !== "number") values.push([row.imm, fields.imm]);
  if (typeof row.high === "string") values.push([row.high, high]);
  return values;
}
