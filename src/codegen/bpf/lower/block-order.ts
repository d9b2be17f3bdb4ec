/**
 * The order in which blocks will stand: reverse postorder, in which the way out
 * of a loop comes after the loop, and the `otherwise` of a branch directly behind
 * it where that is free.
 */
import {
  edgesOf,
  loops,
  type BlockId,
  type IrFunction,
  type LoopForest,
} from "../../../ir/index.ts";

export interface BlockOrder {
  readonly blocks: readonly BlockId[];
  /** How many loops the block is in. */
  readonly depth: (block: BlockId) => number;
}

export function blockOrder(fn: IrFunction): BlockOrder {
  const forest = loops(fn);
  const order: BlockId[] = [];
  const seen = new Uint8Array(fn.blocks.length);
  const stack: { readonly block: BlockId; readonly next: BlockId[] }[] = [];
  const enter = (block: BlockId): void => {
    seen[block] = 1;
    stack.push({ block, next: successors(fn, forest, block) });
  };
  enter(0 as BlockId);
  for (let top = stack.at(-1); top !== undefined; top = stack.at(-1)) {
    const next = top.next.shift();
    if (next === undefined) {
      order.push(top.block);
      stack.pop();
    } else if (seen[next] === 0) enter(next);
  }
  return {
    blocks: order.reverse(),
    depth: (block) => depthOf(forest, block),
  };
}

function depthOf(forest: LoopForest, block: BlockId): number {
  return forest.loops[forest.innermost[block] ?? -1]?.depth ?? 0;
}

/** What is visited first stands last: ways out of loops, then `then`. */
function successors(
  fn: IrFunction,
  forest: LoopForest,
  block: BlockId,
): BlockId[] {
  const terminator = fn.blocks[block]?.terminator;
  if (terminator === undefined) return [];
  const next = edgesOf(terminator).map((edge) => edge.block);
  return next.sort((a, b) => depthOf(forest, a) - depthOf(forest, b));
}
