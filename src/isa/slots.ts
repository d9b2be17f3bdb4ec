/**
 * Slots: the unit in which encoded jumps count. Every instruction takes one
 * slot of 8 bytes, the 16-byte load takes two.
 */
import type { Instruction } from "./instruction.ts";

export function slotCount(instruction: Instruction): 1 | 2 {
  return instruction.kind === "load-wide" ? 2 : 1;
}

/** First slot of each instruction. */
export function slotOf(
  instructions: readonly Instruction[],
): readonly number[] {
  const slots: number[] = [];
  let next = 0;
  for (const instruction of instructions) {
    slots.push(next);
    next += slotCount(instruction);
  }
  return slots;
}

/** Slots of a whole function. */
export function totalSlots(instructions: readonly Instruction[]): number {
  let total = 0;
  for (const instruction of instructions) total += slotCount(instruction);
  return total;
}
