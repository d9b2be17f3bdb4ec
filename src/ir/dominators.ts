/**
 * The dominator tree, and dominance frontiers.
 *
 * Block d dominates block b when every path from the entry to b passes d.
 * Immediate dominators by the iteration of Cooper, Harvey and Kennedy, "A
 * simple, fast dominance algorithm" (2001): a few sweeps in reverse postorder
 * over one integer array. The judge in the tests removes d and looks whether
 * b is still reached.
 *
 * Unreachable blocks dominate nothing and are dominated by nothing.
 */
import { id } from "../base/index.ts";
import {
  graphOf,
  graphPredecessors,
  graphReversePostorder,
  type Graph,
} from "./graph.ts";
import type { BlockId, IrFunction } from "./program.ts";

export interface Dominators {
  /** Immediate dominator; undefined for the entry and for unreachable blocks. */
  readonly immediate: (block: BlockId) => BlockId | undefined;
  /** Every reachable block dominates itself. */
  readonly dominates: (above: BlockId, below: BlockId) => boolean;
  /** Children in the tree, in reverse postorder. */
  readonly children: (block: BlockId) => readonly BlockId[];
}

export function dominators(fn: IrFunction): Dominators {
  const tree = dominatorTree(graphOf(fn));
  return {
    immediate: (block) => {
      const parent = tree.parent[block] ?? -1;
      return parent < 0 ? undefined : id<"b">(parent);
    },
    dominates: (above, below) => tree.dominates(above, below),
    children: (block) => (tree.children[block] ?? []).map((c) => id<"b">(c)),
  };
}

/** The same over a plain graph. `parent[entry]` and of the unreachable is -1. */
export interface DominatorTree {
  readonly order: readonly number[];
  readonly predecessors: readonly (readonly number[])[];
  readonly parent: Int32Array;
  readonly children: readonly (readonly number[])[];
  readonly dominates: (above: number, below: number) => boolean;
}

export function dominatorTree(graph: Graph): DominatorTree {
  const count = graph.successors.length;
  const order = graphReversePostorder(graph);
  const predecessors = graphPredecessors(graph);
  const parent = immediateDominators(order, predecessors, count);
  const children: number[][] = Array.from({ length: count }, () => []);
  for (const node of order) {
    const above = parent[node] ?? -1;
    if (above >= 0) children[above]?.push(node);
  }
  const { enter, leave } = numberTree(children, order.length > 0);
  return {
    order,
    predecessors,
    parent,
    children,
    dominates: (above, below) => {
      const from = enter[above] ?? 0;
      const at = enter[below] ?? 0;
      return (
        from > 0 &&
        at > 0 &&
        from <= at &&
        (leave[below] ?? 0) <= (leave[above] ?? 0)
      );
    },
  };
}

function immediateDominators(
  order: readonly number[],
  predecessors: readonly (readonly number[])[],
  count: number,
): Int32Array {
  const rank = new Int32Array(count).fill(-1);
  for (const [at, node] of order.entries()) rank[node] = at;
  // Over ranks, so that walking up is walking to smaller numbers.
  const above = new Int32Array(order.length).fill(-1);
  if (order.length > 0) above[0] = 0;
  for (let changed = true; changed;) {
    changed = false;
    for (let at = 1; at < order.length; at++) {
      let best = -1;
      for (const predecessor of predecessors[order[at] ?? 0] ?? []) {
        let other = rank[predecessor] ?? -1;
        if (other < 0 || (above[other] ?? -1) < 0) continue;
        if (best < 0) {
          best = other;
          continue;
        }
        while (best !== other) {
          while (other > best) other = above[other] ?? 0;
          while (best > other) best = above[best] ?? 0;
        }
      }
      if (above[at] === best) continue;
      above[at] = best;
      changed = true;
    }
  }
  const parent = new Int32Array(count).fill(-1);
  for (let at = 1; at < order.length; at++)
    parent[order[at] ?? 0] = order[above[at] ?? 0] ?? -1;
  return parent;
}

/** Entry and exit times of a walk: containment of intervals is ancestry. */
function numberTree(
  children: readonly (readonly number[])[],
  reachable: boolean,
): { enter: Int32Array; leave: Int32Array } {
  const enter = new Int32Array(children.length);
  const leave = new Int32Array(children.length);
  if (!reachable) return { enter, leave };
  const next = new Int32Array(children.length);
  let clock = 1;
  const stack = [0];
  enter[0] = clock++;
  while (stack.length > 0) {
    const node = stack.at(-1) ?? 0;
    const at = next[node] ?? 0;
    const child = children[node]?.[at];
    if (child === undefined) {
      leave[node] = clock++;
      stack.pop();
      continue;
    }
    next[node] = at + 1;
    enter[child] = clock++;
    stack.push(child);
  }
  return { enter, leave };
}

/**
 * Index = node: where its dominance ends. A join point belongs to the frontier
 * of each predecessor and of what dominates that predecessor but not the join.
 */
export function dominanceFrontiers(tree: DominatorTree): readonly number[][] {
  const frontiers: number[][] =
    tree.parent.length === 0 ? [] : Array.from(tree.parent, () => []);
  for (const node of tree.order) {
    const above = tree.predecessors[node] ?? [];
    // The entry has no parent: its frontier is reached by climbing past it.
    if (above.length < 2 && node !== 0) continue;
    const stop = tree.parent[node] ?? -1;
    for (const predecessor of above) {
      if (predecessor !== 0 && (tree.parent[predecessor] ?? -1) < 0) continue;
      for (
        let runner = predecessor;
        runner !== stop && runner >= 0;
        runner = tree.parent[runner] ?? -1
      ) {
        const list = frontiers[runner];
        if (list !== undefined && list.at(-1) !== node) list.push(node);
      }
    }
  }
  return frontiers;
}
