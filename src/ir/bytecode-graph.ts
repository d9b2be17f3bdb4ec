/**
 * The control flow graph of one function's bytecode: reachable instructions
 * only, in blocks that keep the order of the code. Block 0 is entered by
 * nothing but the call: when instruction 0 is a jump target, an empty block
 * stands in front of it.
 */
import type {
  FunctionSpec,
  Instruction,
  InstructionKind,
} from "../isa/index.ts";
import type { Graph } from "./graph.ts";

export interface BytecodeBlock {
  /** Instructions `first … end - 1`; empty for the extra entry. */
  readonly first: number;
  readonly end: number;
  /** Branches: taken, then not taken. Empty for exit and for a trap. */
  readonly successors: readonly number[];
}

export interface BytecodeGraph extends Graph {
  readonly blocks: readonly BytecodeBlock[];
}

export function bytecodeGraph(fn: FunctionSpec): BytecodeGraph {
  const code = fn.instructions;
  const reached = new Uint8Array(code.length);
  const leader = new Uint8Array(code.length);
  const work = [0];
  let entryIsTarget = false;
  for (let at = work.pop(); at !== undefined; at = work.pop()) {
    if (at >= code.length) continue;
    leader[at] = 1;
    for (let next = at; next < code.length && reached[next] === 0; next++) {
      reached[next] = 1;
      const instruction = code[next];
      if (instruction === undefined || !endsBlock(instruction)) continue;
      const targets = successorsOf(instruction, next);
      // One target outside of the function, and the block is a trap.
      if (targets.every((target) => target >= 0 && target < code.length)) {
        if (targets.includes(0)) entryIsTarget = true;
        work.push(...targets);
      }
      break;
    }
  }
  const starts: number[] = [];
  for (const [at, flag] of leader.entries())
    if (flag !== 0 && reached[at] !== 0) starts.push(at);
  const extra = entryIsTarget ? 1 : 0;
  const blockAt = new Map(starts.map((at, index) => [at, index + extra]));
  const blocks: BytecodeBlock[] = entryIsTarget
    ? [{ first: 0, end: 0, successors: [1] }]
    : [];
  for (const first of starts) {
    let end = first;
    let last: Instruction | undefined;
    do {
      last = code[end];
      end++;
    } while (
      end < code.length &&
      leader[end] === 0 &&
      last !== undefined &&
      !endsBlock(last)
    );
    const next =
      last !== undefined && endsBlock(last)
        ? successorsOf(last, end - 1)
        : [end];
    blocks.push({
      first,
      end,
      // No block stands outside of the function.
      successors: next.every((target) => blockAt.has(target))
        ? next.map((target) => blockAt.get(target) ?? 0)
        : [],
    });
  }
  if (blocks.length === 0) blocks.push({ first: 0, end: 0, successors: [] });
  return { blocks, successors: blocks.map((block) => block.successors) };
}

const enders: ReadonlySet<InstructionKind> = new Set([
  "jump",
  "branch",
  "may-goto",
  "exit",
  "call-register",
]);

export function endsBlock(instruction: Instruction): boolean {
  return enders.has(instruction.kind);
}

function successorsOf(instruction: Instruction, at: number): number[] {
  if (instruction.kind === "jump") return [instruction.target];
  return instruction.kind === "branch" || instruction.kind === "may-goto"
    ? [instruction.target, at + 1]
    : [];
}
