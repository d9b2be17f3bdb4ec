/** Branches that do not reach go by way of a long jump, and still lead where they led. */
import { deepEqual, equal, ok } from "node:assert/strict";
import { test } from "node:test";
import { parseFunctions, type Instruction } from "../../../isa/index.ts";
import { reachFar } from "./far-branches.ts";

/** The registers set on the way, for r1 as given. */
function walk(code: readonly Instruction[], r1: number): readonly number[] {
  const seen: number[] = [];
  let at = 0;
  for (let steps = 0; steps < 1000; steps++) {
    const instruction = code[at];
    if (instruction === undefined || instruction.kind === "exit") return seen;
    at++;
    if (instruction.kind === "jump") at = instruction.target;
    else if (instruction.kind === "branch") {
      const { right } = instruction;
      const value = right.kind === "immediate" ? right.value : 0;
      if (r1 === value) at = instruction.target;
    } else if (
      instruction.kind === "alu" &&
      instruction.src.kind === "immediate"
    )
      seen.push(instruction.src.value);
  }
  return [-1];
}

test("near ones stay, far ones go on foot", () => {
  const [fn] = parseFunctions(
    [
      "function f",
      "L0:",
      "r0 = 0",
      "if r1 == 1 goto far",
      "if r1 == 2 goto near",
      ...Array.from({ length: 20 }, (_, at) => `r2 = ${at}`),
      "near:",
      "r0 = 21",
      ...Array.from({ length: 20 }, (_, at) => `r3 = ${30 + at}`),
      "far:",
      "r0 = 50",
      "if r1 == 3 goto near",
      "exit",
    ].join("\n"),
  );
  const instructions = fn?.instructions ?? [];
  const places = instructions.map((_, instruction) => ({
    function: "f",
    instruction,
  }));
  equal(reachFar({ instructions, places }).instructions.length, 47);
  const far = reachFar({ instructions, places }, 25);
  // One branch reaches no more; for its jumps, no other.
  equal(far.instructions.length, 49);
  equal(far.places.length, 49);
  for (const r1 of [0, 1, 2])
    deepEqual(walk(far.instructions, r1), walk(instructions, r1), `r1 ${r1}`);
  const all = reachFar({ instructions, places }, 15);
  equal(all.instructions.length, 53);
  ok(all.instructions.some(({ kind }) => kind === "jump"));
  for (const r1 of [0, 1, 2])
    deepEqual(walk(all.instructions, r1), walk(instructions, r1), `r1 ${r1}`);
});
