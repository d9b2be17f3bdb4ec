/**
 * The control-flow graph of one function: basic blocks, reverse postorder,
 * immediate dominators, and whether the graph is reducible.
 *
 * Blocks are numbered in reverse postorder, block 0 is the entry, and what the
 * entry cannot reach has no block. So an edge goes backwards exactly when its
 * target's number is not greater than its source's.
 *
 * Source: K. Cooper, T. Harvey, K. Kennedy, "A Simple, Fast Dominance Algorithm".
 */
import { InputError } from "../../base/index.ts";
import type { FunctionSpec, Instruction } from "../../isa/index.ts";

export type Exit =
  | { readonly kind: "return" }
  | { readonly kind: "goto"; readonly to: number }
  | {
      readonly kind: "branch";
      readonly taken: number;
      readonly otherwise: number;
    };

export interface Block {
  /** Index of the first instruction. */
  readonly first: number;
  /** Index behind the last one; the last is the branch, if there is one. */
  readonly end: number;
  readonly exit: Exit;
}

export interface FlowGraph {
  readonly blocks: readonly Block[];
  /** Sources of edges into each block, one entry an edge. */
  readonly sources: readonly (readonly number[])[];
  /** Immediate dominator of each block; the entry's is itself. */
  readonly dominator: readonly number[];
  /** Targets of backward edges. */
  readonly loopHeads: ReadonlySet<number>;
  readonly reducible: boolean;
}

export function flowGraph(fn: FunctionSpec): FlowGraph {
  const raw = cut(fn);
  const order = reversePostorder(raw);
  const numbers = new Map(order.map((block, number) => [block, number]));
  const numbered = (block: number): number => numbers.get(block) ?? 0;
  const blocks = order.map((index): Block => {
    const block = raw[index];
    if (block === undefined) throw new RangeError("block out of range");
    return { ...block, exit: mapExit(block.exit, numbered) };
  });
  const sources: number[][] = blocks.map(() => []);
  for (const [from, block] of blocks.entries())
    for (const to of targets(block.exit)) sources[to]?.push(from);
  const dominator = dominators(sources);
  const loopHeads = new Set<number>();
  let reducible = true;
  for (const [from, block] of blocks.entries())
    for (const to of targets(block.exit)) {
      if (to > from) continue;
      loopHeads.add(to);
      if (!dominates(dominator, to, from)) reducible = false;
    }
  return { blocks, sources, dominator, loopHeads, reducible };
}

/** Whether every loop of the function has one way in. */
export function isReducible(fn: FunctionSpec): boolean {
  return flowGraph(fn).reducible;
}

export function targets(exit: Exit): readonly number[] {
  switch (exit.kind) {
    case "return":
      return [];
    case "goto":
      return [exit.to];
    case "branch":
      return [exit.taken, exit.otherwise];
  }
}

function mapExit(exit: Exit, map: (block: number) => number): Exit {
  switch (exit.kind) {
    case "return":
      return exit;
    case "goto":
      return { kind: "goto", to: map(exit.to) };
    case "branch":
      return {
        kind: "branch",
        taken: map(exit.taken),
        otherwise: map(exit.otherwise),
      };
  }
}

/** Blocks in address order; exits still name block positions in this list. */
function cut(fn: FunctionSpec): Block[] {
  const { instructions } = fn;
  const starts = new Uint8Array(instructions.length + 1);
  starts[0] = 1;
  const start = (target: number): void => {
    if (!(target >= 0 && target < instructions.length))
      throw new InputError(
        `${fn.name}: control leaves the function (instruction ${target})`,
        { code: "jump-outside" },
      );
    starts[target] = 1;
  };
  for (const [index, instruction] of instructions.entries()) {
    const target = jumpTarget(instruction);
    if (target !== undefined) start(target);
    if (endsBlock(instruction)) starts[index + 1] = 1;
  }
  const blockAt = new Int32Array(instructions.length + 1).fill(-1);
  const firsts: number[] = [];
  for (let index = 0; index < instructions.length; index++)
    if (starts[index] === 1) blockAt[index] = firsts.push(index) - 1;
  const entered = (index: number): number => {
    start(index);
    return blockAt[index] ?? 0;
  };
  return firsts.map((first, position) => {
    const end = firsts[position + 1] ?? instructions.length;
    const last = instructions[end - 1];
    const target = last === undefined ? undefined : jumpTarget(last);
    let exit: Exit;
    if (last?.kind === "exit") exit = { kind: "return" };
    else if (target === undefined) exit = { kind: "goto", to: end };
    else if (last?.kind === "jump") exit = { kind: "goto", to: target };
    else exit = { kind: "branch", taken: target, otherwise: end };
    return { first, end, exit: mapExit(exit, entered) };
  });
}

function jumpTarget(instruction: Instruction): number | undefined {
  return "target" in instruction ? instruction.target : undefined;
}

function endsBlock(instruction: Instruction): boolean {
  return instruction.kind === "exit" || jumpTarget(instruction) !== undefined;
}

function reversePostorder(blocks: readonly Block[]): number[] {
  const seen = new Uint8Array(blocks.length);
  const post: number[] = [];
  const path: { block: number; next: number }[] = [{ block: 0, next: 0 }];
  seen[0] = 1;
  for (let top = path.at(-1); top !== undefined; top = path.at(-1)) {
    const block = blocks[top.block];
    // The fall-through is visited last and so comes right behind its block.
    const ways = block === undefined ? [] : targets(block.exit);
    const to = ways[top.next++];
    if (to === undefined) {
      post.push(top.block);
      path.pop();
    } else if (seen[to] === 0) {
      seen[to] = 1;
      path.push({ block: to, next: 0 });
    }
  }
  return post.reverse();
}

function dominators(sources: readonly (readonly number[])[]): number[] {
  const dominator: number[] = sources.map(() => -1);
  dominator[0] = 0;
  const up = (block: number): number => dominator[block] ?? 0;
  const meet = (a: number, b: number): number => {
    let left = a;
    let right = b;
    while (left !== right) {
      while (left > right) left = up(left);
      while (right > left) right = up(right);
    }
    return left;
  };
  for (let changed = true; changed;) {
    changed = false;
    for (let block = 1; block < sources.length; block++) {
      let best = -1;
      for (const source of sources[block] ?? [])
        if (up(source) >= 0) best = best < 0 ? source : meet(best, source);
      if (best !== dominator[block]) {
        dominator[block] = best;
        changed = true;
      }
    }
  }
  return dominator;
}

function dominates(
  dominator: readonly number[],
  above: number,
  below: number,
): boolean {
  let block = below;
  while (block > above) block = dominator[block] ?? 0;
  return block === above;
}
