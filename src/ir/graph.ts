/**
 * Control flow graphs as plain lists of numbers, and their traversals.
 *
 * Node 0 is the entry. A node may occur twice in a successor list (a branch
 * whose edges meet). Everything here is iterative: a function may have tens of
 * thousands of blocks in one chain.
 */
import { id } from "../base/index.ts";
import type { BlockId, Edge, IrFunction, Terminator } from "./program.ts";

export interface Graph {
  /** Index = node. */
  readonly successors: readonly (readonly number[])[];
}

/** The edges that leave a block, in the order then, otherwise. */
export function edgesOf(terminator: Terminator): readonly Edge[] {
  switch (terminator.kind) {
    case "jump":
      return [terminator.to];
    case "branch":
    case "may-goto":
      return [terminator.then, terminator.otherwise];
    case "return":
    case "trap":
      return [];
  }
}

export function graphOf(fn: IrFunction): Graph {
  return {
    successors: fn.blocks.map((block) =>
      edgesOf(block.terminator).map((edge) => edge.block),
    ),
  };
}

/** Reachable nodes; every node before its successors, back edges excepted. */
export function graphReversePostorder(graph: Graph): number[] {
  const count = graph.successors.length;
  const order: number[] = [];
  if (count === 0) return order;
  const seen = new Uint8Array(count);
  const next = new Int32Array(count);
  const stack = [0];
  seen[0] = 1;
  while (stack.length > 0) {
    const node = stack.at(-1) ?? 0;
    const successors = graph.successors[node] ?? [];
    const at = next[node] ?? 0;
    const successor = successors[at];
    if (successor === undefined) {
      order.push(node);
      stack.pop();
      continue;
    }
    next[node] = at + 1;
    if (seen[successor] !== 0) continue;
    seen[successor] = 1;
    stack.push(successor);
  }
  return order.reverse();
}

/** Index = node; a predecessor with two edges to the node stands twice. */
export function graphPredecessors(graph: Graph): number[][] {
  const result: number[][] = graph.successors.map(() => []);
  for (const [node, successors] of graph.successors.entries())
    for (const successor of successors) result[successor]?.push(node);
  return result;
}

/** Reachable blocks in reverse postorder. */
export function reversePostorder(fn: IrFunction): readonly BlockId[] {
  return graphReversePostorder(graphOf(fn)).map((node) => id<"b">(node));
}

/** Index = block id. */
export function predecessors(fn: IrFunction): readonly (readonly BlockId[])[] {
  return graphPredecessors(graphOf(fn)).map((list) =>
    list.map((node) => id<"b">(node)),
  );
}

/** The one block that leads to a block, by one edge. */
export function onlyPredecessors(
  fn: IrFunction,
): readonly (number | undefined)[] {
  const ways = fn.blocks.map((): number[] => []);
  for (const { id, terminator } of fn.blocks)
    for (const { block } of edgesOf(terminator)) ways[block]?.push(id);
  return ways.map((from, at) =>
    at !== 0 && from.length === 1 ? from[0] : undefined,
  );
}
