/**
 * A block that only one jump leads to becomes part of the block that jumps;
 * blocks are put in reverse postorder. Blocks that were merged away are left
 * without an edge: removeDeadCode drops them.
 */
import { id } from "../base/index.ts";
import {
  edgesOf,
  graphOf,
  graphPredecessors,
  reversePostorder,
} from "./graph.ts";
import { mapInstruction, mapTerminator } from "./operands.ts";
import type { Block, BlockId, IrFunction, ValueId } from "./program.ts";

export function straighten(fn: IrFunction): IrFunction {
  const predecessors = graphPredecessors(graphOf(fn));
  const replaced = new Map<ValueId, ValueId>();
  const current = (value: ValueId): ValueId => {
    let at = value;
    for (
      let next = replaced.get(at);
      next !== undefined;
      next = replaced.get(at)
    )
      at = next;
    return at;
  };
  /** The block that `block` runs into, if nothing else does. */
  const continuation = (block: Block): Block | undefined => {
    if (block.terminator.kind !== "jump") return undefined;
    const { to } = block.terminator;
    const only = to.block !== 0 && to.block !== block.id;
    return only && predecessors[to.block]?.length === 1
      ? fn.blocks[to.block]
      : undefined;
  };
  const merged = new Set<BlockId>();
  for (const block of fn.blocks) {
    const next = continuation(block);
    if (next === undefined) continue;
    merged.add(next.id);
    const args = edgesOf(block.terminator)[0]?.args ?? [];
    for (const [index, param] of next.params.entries()) {
      const value = args[index];
      if (value !== undefined) replaced.set(param, value);
    }
  }
  const blocks = fn.blocks.map((block): Block => {
    if (merged.has(block.id)) return block;
    const instructions = [...block.instructions];
    let last = block;
    for (
      let next = continuation(last);
      next !== undefined;
      next = continuation(last)
    ) {
      instructions.push(...next.instructions);
      last = next;
    }
    return { ...block, instructions, terminator: last.terminator };
  });
  return inOrder({
    ...fn,
    blocks: blocks.map((block) => ({
      ...block,
      instructions: block.instructions.map((instruction) =>
        mapInstruction(instruction, { value: current }),
      ),
      terminator: mapTerminator(block.terminator, current, (edge) => ({
        block: edge.block,
        args: edge.args.map(current),
      })),
    })),
  });
}

/** Reachable blocks only, renamed. */
function inOrder(fn: IrFunction): IrFunction {
  const order = reversePostorder(fn);
  const names = new Map(order.map((old, index) => [old, id<"b">(index)]));
  const blocks = order.flatMap((old, index): Block[] => {
    const block = fn.blocks[old];
    if (block === undefined) return [];
    const terminator = mapTerminator(
      block.terminator,
      (value) => value,
      (edge) => ({ ...edge, block: names.get(edge.block) ?? edge.block }),
    );
    return [{ ...block, id: id(index), terminator }];
  });
  return { ...fn, blocks };
}
