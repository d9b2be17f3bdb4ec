/**
 * The forest of natural loops.
 *
 * A back edge goes to a block that dominates its source; the loop of a header
 * is every block that reaches one of its back edges without passing the header.
 * A cycle without such an edge is irreducible: it has several entries, belongs
 * to no loop of the forest, and its blocks are listed apart.
 */
import { id } from "../base/index.ts";
import { dominatorTree } from "./dominators.ts";
import { graphOf, type Graph } from "./graph.ts";
import type { BlockId, IrFunction } from "./program.ts";

export interface Loop {
  readonly header: BlockId;
  /** Sources of the back edges. */
  readonly latches: readonly BlockId[];
  /** Header included, inner loops included; ascending. */
  readonly blocks: readonly BlockId[];
  /** Index of the enclosing loop in the list. */
  readonly parent?: number;
  /** 1 for an outermost loop. */
  readonly depth: number;
}

export interface LoopForest {
  /** Outer loops before the loops inside them. */
  readonly loops: readonly Loop[];
  /** Index = block id: the innermost loop of the block. */
  readonly innermost: readonly (number | undefined)[];
  /** Blocks on a cycle that no header dominates; empty for compiled code, as a rule. */
  readonly irreducible: readonly BlockId[];
}

export function loops(fn: IrFunction): LoopForest {
  const graph = graphOf(fn);
  const tree = dominatorTree(graph);
  const latches = new Map<number, Set<number>>();
  for (const node of tree.order)
    for (const successor of graph.successors[node] ?? [])
      if (tree.dominates(successor, node)) {
        const list = latches.get(successor);
        if (list === undefined) latches.set(successor, new Set([node]));
        else list.add(node);
      }
  const found = [...latches].map(([header, sources]) => ({
    header,
    sources,
    // Unreachable blocks may lead into a loop; they are not of it.
    members: loopMembers(header, sources, (node) =>
      (tree.predecessors[node] ?? []).filter((p) => tree.dominates(0, p)),
    ),
  }));
  // A loop is larger than those inside it; two headers never share all blocks.
  found.sort((a, b) => b.members.size - a.members.size || a.header - b.header);
  const innermost: (number | undefined)[] = graph.successors.map(
    () => undefined,
  );
  const result: Loop[] = [];
  for (const { header, sources, members } of found) {
    const parent = innermost[header];
    const outer = parent === undefined ? undefined : result[parent];
    for (const member of members) innermost[member] = result.length;
    result.push({
      header: id(header),
      latches: ascending(sources),
      blocks: ascending(members),
      depth: (outer?.depth ?? 0) + 1,
      ...(parent === undefined ? {} : { parent }),
    });
  }
  return {
    loops: result,
    innermost,
    irreducible: irreducibleBlocks(graph, tree.order, tree.dominates),
  };
}

function ascending(nodes: Iterable<number>): BlockId[] {
  return [...nodes].sort((a, b) => a - b).map((node) => id<"b">(node));
}

function loopMembers(
  header: number,
  sources: ReadonlySet<number>,
  predecessorsOf: (node: number) => readonly number[],
): Set<number> {
  const members = new Set([header]);
  const work = [...sources];
  for (let node = work.pop(); node !== undefined; node = work.pop()) {
    if (members.has(node)) continue;
    members.add(node);
    work.push(...predecessorsOf(node));
  }
  return members;
}

/** Blocks on a cycle that stays when the back edges are gone. */
function irreducibleBlocks(
  graph: Graph,
  order: readonly number[],
  dominates: (above: number, below: number) => boolean,
): BlockId[] {
  const forward = graph.successors.map((successors, node) =>
    successors.filter((successor) => !dominates(successor, node)),
  );
  // An edge that goes up in reverse postorder closes a cycle; without one, none.
  const rank = new Map(order.map((node, at) => [node, at]));
  const closes = (node: number): boolean =>
    (forward[node] ?? []).some(
      (next) => (rank.get(next) ?? 0) <= (rank.get(node) ?? 0),
    );
  if (!order.some(closes)) return [];
  return ascending(
    components(forward, order)
      .filter((c) => c.length > 1)
      .flat(),
  );
}

/** Strongly connected components (Kosaraju): finish times forward, then a walk back. */
function components(
  successors: readonly (readonly number[])[],
  nodes: readonly number[],
): number[][] {
  const finished = walk(successors, nodes).flat();
  const backward: number[][] = successors.map(() => []);
  for (const node of nodes)
    for (const next of successors[node] ?? []) backward[next]?.push(node);
  return walk(backward, finished.reverse());
}

/** Depth-first trees from each node in turn; nodes of a tree as they finish. */
function walk(
  successors: readonly (readonly number[])[],
  roots: readonly number[],
): number[][] {
  const seen = new Set<number>();
  const trees: number[][] = [];
  for (const root of roots) {
    if (seen.has(root)) continue;
    seen.add(root);
    const tree: number[] = [];
    const path = [{ node: root, next: 0 }];
    for (let top = path.at(-1); top !== undefined; top = path.at(-1)) {
      const successor = successors[top.node]?.[top.next];
      top.next++;
      if (successor === undefined) {
        tree.push(top.node);
        path.pop();
      } else if (!seen.has(successor)) {
        seen.add(successor);
        path.push({ node: successor, next: 0 });
      }
    }
    trees.push(tree);
  }
  return trees;
}
