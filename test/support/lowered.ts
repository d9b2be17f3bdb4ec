/** Lifted and lowered again: the same program in code of our own. */
import { lowerProgram } from "#codegen";
import { lift } from "#ir";
import type { Instruction, ProgramSpec } from "#isa";

export function lowered(program: ProgramSpec): ProgramSpec {
  const originals = new Map(program.functions.map((fn) => [fn.name, fn]));
  const functions = lowerProgram(lift(program), {
    functionFacts: (name) => originals.get(name),
    instructionSet: usesV4(program) ? "v4" : "v3",
  });
  return { ...program, functions };
}

function usesV4({ functions }: ProgramSpec): boolean {
  return functions.some((fn) => fn.instructions.some(isV4));
}

function isV4(instruction: Instruction): boolean {
  if (instruction.kind === "load") return instruction.signed;
  return (
    instruction.kind === "alu" && /^(movsx|sdiv|smod)/.test(instruction.op)
  );
}
