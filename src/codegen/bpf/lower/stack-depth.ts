/**
 * The stack of a whole chain of calls: at most 512 bytes, frames rounded up to 16
 * (kernel/bpf/verifier.c, check_max_stack_depth). Functions that call themselves
 * are the verifier's business.
 */
import { UnsupportedError } from "../../../base/index.ts";
import type { FunctionSpec, Instruction } from "../../../isa/index.ts";
import { frameSize } from "./slot-places.ts";

export function checkStackDepth(
  functions: readonly Pick<FunctionSpec, "name" | "instructions">[],
): void {
  const byName = new Map(functions.map((fn) => [fn.name, fn]));
  const depths = new Map<string, Chain>();
  const open = new Set<string>();
  const chainOf = (name: string): Chain => {
    const known = depths.get(name);
    if (known !== undefined) return known;
    const frame = frameOf(byName.get(name)?.instructions ?? []);
    const own = Math.ceil(Math.max(frame, 1) / 16) * 16;
    let deepest: Chain = { depth: 0, names: [] };
    open.add(name);
    for (const callee of new Set(
      byName.get(name)?.instructions.flatMap(calleeOf),
    )) {
      if (open.has(callee)) continue;
      const chain = chainOf(callee);
      if (chain.depth > deepest.depth) deepest = chain;
    }
    open.delete(name);
    const chain = {
      depth: own + deepest.depth,
      names: [name, ...deepest.names],
    };
    depths.set(name, chain);
    return chain;
  };
  for (const { name } of functions) {
    const { depth, names } = chainOf(name);
    if (depth > frameSize)
      throw new UnsupportedError(
        `the frames of ${names.join(", ")} need ${depth} bytes together, and the stack has ${frameSize}`,
        {
          feature: `call chains with more than ${frameSize} bytes of stack`,
          fix: "keep fewer values at a time, or keep structures in a map",
        },
      );
  }
}

interface Chain {
  readonly depth: number;
  readonly names: readonly string[];
}

/** How far below r10 the code reaches, as far as it says so itself. */
function frameOf(instructions: readonly Instruction[]): number {
  let low = 0;
  for (const [index, instruction] of instructions.entries()) {
    if ("base" in instruction && instruction.base === 10)
      low = Math.min(low, instruction.offset);
    const before = instructions[index - 1];
    const isAddress =
      before?.kind === "alu" &&
      before.op === "mov" &&
      before.src.kind === "register" &&
      before.src.register === 10;
    if (
      isAddress &&
      instruction.kind === "alu" &&
      instruction.op === "add" &&
      instruction.dst === before.dst &&
      instruction.src.kind === "immediate"
    )
      low = Math.min(low, instruction.src.value);
  }
  return -low;
}

/** Functions that it calls or hands to a helper. */
function calleeOf(instruction: Instruction): string[] {
  if (instruction.kind === "call" && instruction.callee.kind === "function")
    return [instruction.callee.name];
  return instruction.kind === "load-wide" &&
    instruction.value.kind === "function"
    ? [instruction.value.name]
    : [];
}
