/** Selection of a conditional branch: a constant stands on the right, as an immediate. */
import type { Terminator } from "../../../ir/index.ts";
import type { BranchOp } from "../../../isa/index.ts";
import type { LowInstruction, LowTerminator } from "./low-code.ts";
import { immediateOf, type Operands } from "./select-operands.ts";

/** The same comparison with its operands exchanged. */
const exchanged: Readonly<Record<BranchOp, BranchOp>> = {
  jeq: "jeq",
  jne: "jne",
  jset: "jset",
  jgt: "jlt",
  jge: "jle",
  jlt: "jgt",
  jle: "jge",
  jsgt: "jslt",
  jsge: "jsle",
  jslt: "jsgt",
  jsle: "jsge",
};

export function selectBranch(
  terminator: Terminator & { readonly kind: "branch" },
  operands: Operands,
  targets: { readonly then: number; readonly otherwise: number },
): {
  readonly before: readonly LowInstruction[];
  readonly terminator: LowTerminator;
} {
  const { op, width, left, right, at } = terminator;
  const before: LowInstruction[] = [];
  const front = {
    at,
    put: (instruction: LowInstruction) => before.push(instruction),
  };
  const leftWord = operands.constant(left);
  const rightWord = operands.constant(right);
  const swaps =
    rightWord === undefined &&
    leftWord !== undefined &&
    immediateOf(leftWord, width) !== undefined;
  const [first, second] = swaps ? [right, left] : [left, right];
  return {
    before,
    terminator: {
      kind: "branch",
      op: swaps ? exchanged[op] : op,
      width,
      left: operands.register(first, front),
      right: operands.operand(second, width, front),
      ...targets,
      at,
    },
  };
}
