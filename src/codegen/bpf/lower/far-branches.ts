/**
 * Branches that do not reach. Their distance has 16 bits; an unconditional jump of
 * kernel 6.6 has 32. So a far one goes by way of such a jump:
 *
 *   if c goto far        if c goto 1f ; goto 2f ; 1: gotol far ; 2:
 *
 * Longer code makes others far, so until none is.
 */
import type { Place } from "../../../base/index.ts";
import {
  relaxJumps,
  slotOf,
  targetOf,
  withTarget,
  type Instruction,
} from "../../../isa/index.ts";

export interface PlacedCode {
  readonly instructions: readonly Instruction[];
  readonly places: readonly Place[];
}

export function reachFar(given: PlacedCode, reach = 0x7fff): PlacedCode {
  let code = given;
  for (
    let far = farBranches(code.instructions, reach);
    far.size > 0;
    far = farBranches(code.instructions, reach)
  )
    code = lengthened(code, far);
  return { ...code, instructions: relaxJumps(code.instructions) };
}

function farBranches(
  instructions: readonly Instruction[],
  reach: number,
): ReadonlySet<number> {
  const slots = slotOf(instructions);
  const far = new Set<number>();
  for (const [index, instruction] of instructions.entries()) {
    if (instruction.kind !== "branch" && instruction.kind !== "may-goto")
      continue;
    const { target } = instruction;
    const distance = (slots[target] ?? 0) - (slots[index] ?? 0) - 1;
    if (distance > reach || distance < -reach - 1) far.add(index);
  }
  return far;
}

function lengthened(
  { instructions, places }: PlacedCode,
  far: ReadonlySet<number>,
): PlacedCode {
  const start: number[] = [];
  let next = 0;
  for (const index of instructions.keys()) {
    start.push(next);
    next += far.has(index) ? 3 : 1;
  }
  const result: Instruction[] = [];
  const at: Place[] = [];
  for (const [index, instruction] of instructions.entries()) {
    const place = places[index] ?? { function: "", instruction: 0 };
    const target = targetOf(instruction);
    const to = start[target ?? -1] ?? 0;
    if (far.has(index)) {
      const here = result.length;
      result.push(
        withTarget(instruction, here + 2),
        { kind: "jump", target: here + 3, long: false },
        { kind: "jump", target: to, long: true },
      );
      at.push(place, place, place);
      continue;
    }
    result.push(
      target === undefined ? instruction : withTarget(instruction, to),
    );
    at.push(place);
  }
  return { instructions: result, places: at };
}
