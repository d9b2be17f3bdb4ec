/**
 * Print: one instruction as text, from its row's template. Jump targets print
 * as labels, `L7` for index 7 unless the caller names them. Names that a reader
 * could take for something else are quoted as JSON strings.
 *
 * Law: parseInstruction(printInstruction(i)) = i.
 */
import { Bug } from "../base/index.ts";
import { member, rowOf, type MemberValue } from "./form.ts";
import { helperByNumber } from "./helper.ts";
import type { MemberPath } from "./instruction-table.ts";
import type { Instruction } from "./instruction.ts";
import { keywords, namePattern, placeholders } from "./template.ts";

export type LabelOf = (target: number) => string;

export function printInstruction(
  instruction: Instruction,
  labelOf: LabelOf = (target) => `L${target}`,
): string {
  const row = rowOf(instruction);
  return row.text.replace(placeholders, (_all, type: string, path: string) =>
    printMember(type, member(instruction, path as MemberPath), labelOf),
  );
}

/** A name as the text form shows it: bare where that is unambiguous. */
export function printName(name: string): string {
  return namePattern.test(name) && !keywords.has(name)
    ? name
    : JSON.stringify(name);
}

function printMember(
  type: string,
  value: MemberValue,
  labelOf: LabelOf,
): string {
  switch (type) {
    case "r":
    case "w":
      return `${type}${value}`;
    case "i":
    case "p":
      return String(value);
    case "u":
      return String(BigInt.asUintN(64, BigInt(value)));
    case "o":
      return Number(value) < 0 ? `- ${-Number(value)}` : `+ ${value}`;
    case "n":
      return printName(String(value));
    case "L":
      return labelOf(Number(value));
    case "h": {
      const helper = helperByNumber(Number(value));
      return helper === undefined ? String(value) : printName(helper.name);
    }
    default:
      throw new Bug(`template class ${type}`);
  }
}
