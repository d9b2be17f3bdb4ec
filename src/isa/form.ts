/**
 * Between an instruction value and its table row: which row an instruction is
 * (its form), and reading or filling the members that a row's paths name.
 *
 * An instruction's form is the tuple of its discriminating members: kind, op,
 * width, size, signedness, fetch, and the kind of its operand, value or callee.
 * Everything else is a number or a name that a field or the text holds.
 */
import { Bug } from "../base/index.ts";
import {
  instructionRows,
  type InstructionRow,
  type MemberPath,
} from "./instruction-table.ts";
import type { Instruction, Register } from "./instruction.ts";

/** What a path of a row can lead to. */
export type MemberValue = number | bigint | string;

type Members = Record<string, unknown>;

// prettier-ignore
const discriminating = ["kind", "op", "width", "size", "signed", "fetch", "long", "inImmediate"] as const;
const nested = ["src", "right", "value", "callee"] as const;

/** The form as a string, equal for instructions of one row only. */
function formOf(instruction: Instruction): string {
  const members = instruction as unknown as Members;
  let form = "";
  for (const name of discriminating) form += `${String(members[name])} `;
  for (const name of nested) {
    const part = members[name];
    if (typeof part === "object" && part !== null)
      form += `${name}:${String((part as Members)["kind"])} `;
  }
  if (instruction.kind === "load-packet")
    form += instruction.index === undefined ? "absolute" : "indexed";
  if (instruction.kind === "call" && instruction.callee.kind === "raw")
    form += instruction.callee.offset === undefined ? "kernel" : "module";
  return form;
}

const rows = new Map<string, InstructionRow>();
for (const row of instructionRows) {
  const form = formOf(row.sample);
  if (rows.has(form)) throw new Bug(`two rows for the form ${form}`);
  rows.set(form, row);
}

export function rowOf(instruction: Instruction): InstructionRow {
  const row = rows.get(formOf(instruction));
  if (row === undefined)
    throw new Bug(`no such instruction: ${formOf(instruction)}`);
  return row;
}

/** The member at `path`. */
export function member(
  instruction: Instruction,
  path: MemberPath,
): MemberValue {
  let value: unknown = instruction;
  for (const name of path.split("."))
    value =
      typeof value === "object" && value !== null
        ? (value as Members)[name]
        : undefined;
  if (
    typeof value === "number" ||
    typeof value === "bigint" ||
    typeof value === "string"
  )
    return value;
  throw new Bug(`${instruction.kind} has no ${path}`);
}

/** The row's instruction with the given members filled in. */
export function build(
  row: InstructionRow,
  values: Iterable<readonly [MemberPath, MemberValue]>,
): Instruction {
  const result: Members = { ...row.sample };
  for (const [path, value] of values) {
    const [outer = "", inner] = path.split(".");
    result[outer] =
      inner === undefined
        ? value
        : { ...(result[outer] as Members), [inner]: value };
  }
  return result as unknown as Instruction;
}

/** The same instruction with another jump target; others are returned as they are. */
export function withTarget(
  instruction: Instruction,
  target: number,
): Instruction {
  return "target" in instruction && instruction.target !== target
    ? { ...instruction, target }
    : instruction;
}

/** Where it may jump to, if it is a jump. */
export function targetOf(instruction: Instruction): number | undefined {
  return "target" in instruction ? instruction.target : undefined;
}

export function isRegister(value: number): value is Register {
  return Number.isInteger(value) && value >= 0 && value <= 10;
}
