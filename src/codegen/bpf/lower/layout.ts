/**
 * Blocks with registers to one list of instructions: empty blocks vanish, what
 * stands behind is fallen into, jumps get their targets.
 */
import type { BranchOp } from "../../../isa/index.ts";
import { endTargets, type PlacedBlock } from "./emit.ts";
import { reachFar, type PlacedCode } from "./far-branches.ts";
import type { Placed } from "./parallel-copy.ts";

const negated: Readonly<Partial<Record<BranchOp, BranchOp>>> = {
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

export function layOut(given: readonly PlacedBlock[]): PlacedCode {
  const through = threads(given);
  const blocks = given.map(({ code, end }): PlacedBlock => {
    switch (end.kind) {
      case "jump": {
        const to = through(end.to);
        const target = given[to];
        // A way out is as short as the jump to it.
        return target?.code.length === 0 && target.end.kind === "exit"
          ? { code, end: { kind: "exit", at: end.at } }
          : { code, end: { ...end, to } };
      }
      case "branch":
      case "may-goto": {
        const then = through(end.then);
        const otherwise = through(end.otherwise);
        return then === otherwise && end.kind === "branch"
          ? { code, end: { kind: "jump", to: then, at: end.at } }
          : { code, end: { ...end, then, otherwise } };
      }
      case "exit":
      case "trap":
        return { code, end };
    }
  });
  const kept = inOrder(blocks);
  const out: Placed[] = [];
  const starts: number[] = [];
  for (const [index, at] of kept.entries()) {
    starts[at] = out.length;
    const block = blocks[at];
    if (block !== undefined) {
      out.push(...block.code);
      out.push(...endOf(block, kept[index + 1]));
    }
  }
  const instructions = out.map(({ instruction }) =>
    "target" in instruction
      ? { ...instruction, target: starts[instruction.target] ?? 0 }
      : instruction,
  );
  return reachFar({ instructions, places: out.map(({ at }) => at) });
}

/** Where one arrives that goes to a block: past those that only jump on. */
function threads(blocks: readonly PlacedBlock[]): (block: number) => number {
  return (block) => {
    let at = block;
    for (let steps = 0; steps < blocks.length; steps++) {
      const next = blocks[at];
      if (next?.code.length !== 0 || next.end.kind !== "jump") return at;
      at = next.end.to;
    }
    return at;
  };
}

/**
 * Blocks that something leads to, in order; those that only `then` of a branch in
 * front leads to, and that only jump on, come last: the branch falls through.
 */
function inOrder(blocks: readonly PlacedBlock[]): number[] {
  const seen = new Uint8Array(blocks.length);
  const work = [0];
  for (let at = work.pop(); at !== undefined; at = work.pop()) {
    if (seen[at] !== 0) continue;
    seen[at] = 1;
    const end = blocks[at]?.end;
    if (end !== undefined) work.push(...endTargets(end));
  }
  const main: number[] = [];
  const aside: number[] = [];
  for (const [at, block] of blocks.entries()) {
    if (seen[at] === 0) continue;
    const { end } = blocks[at - 1] ?? block;
    const isAside =
      end.kind === "branch" &&
      end.then === at &&
      block.end.kind === "jump" &&
      block.end.to > at;
    (isAside ? aside : main).push(at);
  }
  return [...main, ...aside];
}

/** Targets are blocks still. */
function endOf({ end }: PlacedBlock, next: number | undefined): Placed[] {
  const { at } = end;
  const jump = (to: number): Placed[] =>
    to === next
      ? []
      : [{ instruction: { kind: "jump", target: to, long: false }, at }];
  switch (end.kind) {
    case "jump":
      return jump(end.to);
    case "branch": {
      const { branch, then, otherwise } = end;
      const op = negated[branch.op];
      return then === next && op !== undefined
        ? [{ instruction: { ...branch, op, target: otherwise }, at }]
        : [
            { instruction: { ...branch, target: then }, at },
            ...jump(otherwise),
          ];
    }
    case "may-goto":
      return [
        { instruction: { kind: "may-goto", target: end.then }, at },
        ...jump(end.otherwise),
      ];
    case "exit":
      return [{ instruction: { kind: "exit" }, at }];
    case "trap":
      // No kernel runs it; where it is never reached, the verifier drops it.
      return [
        { instruction: { kind: "call-register", register: 0 }, at },
        { instruction: { kind: "exit" }, at },
      ];
  }
}
