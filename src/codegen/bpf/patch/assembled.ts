/**
 * Code to be inserted, from its text: jumps lead to places of its own, the last label
 * to what stands behind it.
 *
 *   assembled(`r0 = 1
 *              if r1 == 0 goto done
 *              r0 = 2
 *              done:`)
 *
 * Offsets are filled in as they are: `(r10 + ${-8})` reads as `(r10 - 8)`.
 */
import {
  local,
  parseFunction,
  targetOf,
  withTarget,
  type Instruction,
} from "../../../isa/index.ts";

export function assembled(text: string): readonly Instruction[] {
  // The exit is where a last label stands, and goes again.
  const { instructions } = parseFunction(
    `function inserted\n${signed(text)}\n exit`,
  );
  return instructions.slice(0, -1).map((instruction) => {
    const target = targetOf(instruction);
    return target === undefined
      ? instruction
      : withTarget(instruction, local(target));
  });
}

/** Negative offsets as the text form has them. */
export function signed(text: string): string {
  return text.replaceAll("+ -", "- ");
}
