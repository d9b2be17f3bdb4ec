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
    members: loopMembers(header, sources, tree.predecessors),
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
  predecessors: readonly (readonly number[])[],
): Set<number> {
  const members = new Set([header]);
  const work = [...sources];
  for (let node = work.pop(); node !== undefined; node = work.pop()) {
    if (members.has(node)) continue;
    members.add(node);
    work.push(...(predecessors[node] ?? []));
  }
  return members;
}

/** Strongly connected components that remain when the back edges are gone. */
function irreducibleBlocks(
  graph: Graph,
  order: readonly number[],
  dominates: (above: number, below: number) => boolean,
): BlockId[] {
  const forward = graph.successors.map((successors, node) =>
    successors.filter((successor) => !dominates(successor, node)),
  );
  // Peel nodes without a way in, then without a way out; cycles remain, and
  // what lies between two cycles, which one more test on each node excludes.
  const rest = new Set(order);
  peel(rest, forward);
  peel(rest, reversed(forward));
  return ascending([...rest].filter((node) => reaches(node, forward, rest)));
}

function reversed(successors: readonly (readonly number[])[]): number[][] {
  const result: number[][] = successors.map(() => []);
  for (const [node, list] of successors.entries())
    for (const successor of list) result[successor]?.push(node);
  return result;
}

function peel(
  rest: Set<number>,
  successors: readonly (readonly number[])[],
): void {
  const waysIn = new Int32Array(successors.length);
  for (const node of rest)
    for (const successor of successors[node] ?? [])
      waysIn[successor] = (waysIn[successor] ?? 0) + 1;
  const work = [...rest].filter((node) => waysIn[node] === 0);
  for (let node = work.pop(); node !== undefined; node = work.pop()) {
    rest.delete(node);
    for (const successor of successors[node] ?? []) {
      waysIn[successor] = (waysIn[successor] ?? 0) - 1;
      if (waysIn[successor] === 0 && rest.has(successor)) work.push(successor);
    }
  }
}

function reaches(
  start: number,
  successors: readonly (readonly number[])[],
  within: ReadonlySet<number>,
): boolean {
  const seen = new Set<number>();
  const work = [...(successors[start] ?? [])];
  for (let node = work.pop(); node !== undefined; node = work.pop()) {
    if (node === start) return true;
    if (seen.has(node) || !within.has(node)) continue;
    seen.add(node);
    work.push(...(successors[node] ?? []));
  }
  return false;
}
