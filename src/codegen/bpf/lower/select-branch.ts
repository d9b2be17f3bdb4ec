/** Selection of a conditional branch: a constant stands on the right, as an immediate. */
import type { Terminator } from "../../../ir/index.ts";
import { mirrored, type Width } from "../../../isa/index.ts";
import type { LowInstruction, LowTerminator } from "./low-code.ts";
import { immediateOf, type Operands } from "./select-operands.ts";

export function selectBranch(
  terminator: Terminator & { readonly kind: "branch" },
  operands: Operands,
  targets: { readonly then: number; readonly otherwise: number },
): {
  readonly before: readonly LowInstruction[];
  readonly terminator: LowTerminator;
} {
  const { op, left, right, at } = terminator;
  const before: LowInstruction[] = [];
  const front = {
    at,
    put: (instruction: LowInstruction) => before.push(instruction),
  };
  const leftWord = operands.constant(left);
  const rightWord = operands.constant(right);
  const width = widthOf(terminator, operands);
  const swaps =
    rightWord === undefined &&
    leftWord !== undefined &&
    immediateOf(leftWord, width) !== undefined;
  const [first, second] = swaps ? [right, left] : [left, right];
  return {
    before,
    terminator: {
      kind: "branch",
      op: swaps ? mirrored[op] : op,
      width,
      left: operands.register(first, front),
      right: operands.operand(second, width, front),
      ...targets,
      at,
    },
  };
}

/**
 * A constant of 32 bits is no immediate at 64 where its highest bit is set. If the
 * other word has no more bits, 32 do for a comparison without signs.
 */
function widthOf(
  { op, width, left, right }: Terminator & { readonly kind: "branch" },
  operands: Operands,
): Width {
  for (const [constant, other] of [
    [left, right],
    [right, left],
  ] as const) {
    const word = operands.constant(constant);
    if (word === undefined || word <= 0x7fff_ffffn || word > 0xffff_ffffn)
      continue;
    if ((op === "jset" || !op.startsWith("js")) && operands.bits(other) <= 32)
      return 32;
  }
  return width;
}
