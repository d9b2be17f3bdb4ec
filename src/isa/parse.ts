/**
 * Parse: one line of the text form to an instruction; the inverse of print.
 * Numbers may be decimal or hexadecimal, signed or unsigned; white space is free.
 *
 * Refused with an InputError: a line of no known form, a register above r10, a
 * number that its field cannot hold, an unknown helper or label.
 */
import { InputError, nearest, printable } from "../base/index.ts";
import { build, type MemberValue } from "./form.ts";
import { helperByName, helpers } from "./helper.ts";
import type { MemberPath } from "./instruction-table.ts";
import type { Instruction } from "./instruction.ts";
import { skeletonOf, templates, tokenize, valuesOf } from "./template.ts";

export interface ParseOptions {
  /** Index of the instruction at a label; by default `L7` is 7. */
  readonly targetOf?: (label: string) => number | undefined;
  readonly file?: string;
  readonly line?: number;
}

export function parseInstruction(
  text: string,
  options: ParseOptions = {},
): Instruction {
  const fail = (what: string): never => {
    throw new InputError(`${what}: ${printable(text.trim())}`, {
      code: "insn-text",
      ...(options.file === undefined ? {} : { file: options.file }),
      ...(options.line === undefined ? {} : { line: options.line }),
    });
  };
  const tokens = tokenize(text);
  if (typeof tokens === "number")
    return fail(`not understood from column ${tokens + 1}`);
  const template = templates.get(skeletonOf(tokens));
  if (template === undefined) return fail("no instruction reads like this");

  const targetOf = options.targetOf ?? indexOfLabel;
  const given = valuesOf(tokens);
  const members = new Map<MemberPath, MemberValue>();
  for (const [index, slot] of template.slots.entries()) {
    const value = given[index] ?? "";
    if (slot.kind === "fixed") {
      if (value !== slot.value) fail(`r${slot.value} expected`);
      continue;
    }
    const read = readMember(slot.type, value, targetOf);
    if (typeof read === "object") return fail(read.problem);
    const before = members.get(slot.path);
    if (before !== undefined && before !== read)
      fail(`${slot.path} is named twice and differs`);
    members.set(slot.path, read);
  }
  return build(template.row, members);
}

function indexOfLabel(label: string): number | undefined {
  const match = /^L(\d{1,9})$/.exec(label);
  return match === null ? undefined : Number(match[1]);
}

function readMember(
  type: string,
  value: bigint | string,
  targetOf: (label: string) => number | undefined,
): MemberValue | { readonly problem: string } {
  if (typeof value === "string") {
    if (type === "n") return value;
    if (type === "L")
      return targetOf(value) ?? { problem: `no label ${printable(value)}` };
    const helper = helperByName(value);
    if (helper !== undefined) return helper.number;
    const near = nearest(
      value,
      helpers.map(({ name }) => name),
    );
    return {
      problem: `no helper ${printable(value)}${near === undefined ? "" : ` (did you mean ${near}?)`}`,
    };
  }
  const [least, most] = ranges[type] ?? [0n, 0n];
  if (value < least || value > most)
    return { problem: `${value} does not fit` };
  if (type === "u") return BigInt.asUintN(64, value);
  if (type === "i" || type === "h") return Number(BigInt.asIntN(32, value));
  return Number(value);
}

const ranges: Readonly<Record<string, readonly [bigint, bigint]>> = {
  r: [0n, 10n],
  w: [0n, 10n],
  i: [-0x8000_0000n, 0xffff_ffffn],
  h: [-0x8000_0000n, 0xffff_ffffn],
  u: [-(1n << 63n), (1n << 64n) - 1n],
  o: [-0x8000_0000n, 0x7fff_ffffn],
  p: [0n, 0xffff_ffffn],
};
