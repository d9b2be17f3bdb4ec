/**
 * Small wrong versions of a program: one conditional branch negated. A check that
 * runs both ways out of that branch must notice.
 *
 * Only branches that the check reached both ways are taken: elsewhere a mutant
 * could survive for want of coverage, which the certificate says already.
 */
import { Random, printPlace, type Place } from "../base/index.ts";
import { placeOf, type BranchOp, type ProgramSpec } from "../isa/index.ts";

export interface ProgramMutant {
  readonly name: string;
  readonly program: ProgramSpec;
}

const negation: Readonly<Partial<Record<BranchOp, BranchOp>>> = {
  jeq: "jne",
  jne: "jeq",
  jgt: "jle",
  jle: "jgt",
  jge: "jlt",
  jlt: "jge",
  jsgt: "jsle",
  jsle: "jsgt",
  jsge: "jslt",
  jslt: "jsge",
};

/** At most `limit` mutants, drawn by seed. */
export function negatedBranches(
  program: ProgramSpec,
  isCovered: (at: Place) => boolean,
  seed: number,
  limit = 24,
): ProgramMutant[] {
  const candidates: { functionIndex: number; instruction: number }[] = [];
  for (const [functionIndex, fn] of program.functions.entries())
    for (const [instruction, value] of fn.instructions.entries())
      if (
        value.kind === "branch" &&
        negation[value.op] !== undefined &&
        isCovered({ function: fn.name, instruction })
      )
        candidates.push({ functionIndex, instruction });
  const random = new Random(seed);
  while (candidates.length > limit)
    candidates.splice(random.below(candidates.length), 1);
  return candidates.map(({ functionIndex, instruction }) =>
    negate(program, functionIndex, instruction),
  );
}

function negate(
  program: ProgramSpec,
  functionIndex: number,
  instruction: number,
): ProgramMutant {
  let name = "";
  const functions = program.functions.map((fn, index) => {
    if (index !== functionIndex) return fn;
    name = `branch negated at ${printPlace(placeOf(fn, instruction))} (${fn.name}+${instruction})`;
    const instructions = fn.instructions.map((value, at) => {
      if (at !== instruction || value.kind !== "branch") return value;
      return { ...value, op: negation[value.op] ?? value.op };
    });
    return { ...fn, instructions };
  });
  return { name, program: { ...program, functions } };
}
