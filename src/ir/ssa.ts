/**
 * Where block parameters are needed when variables become values.
 *
 * Variables are numbered; each block lists which it reads before writing
 * (`uses`) and which it writes (`defines`). A variable gets a parameter at the
 * iterated dominance frontier of its definitions (Cytron et al., 1991), but
 * only where it is live: no parameter exists that nothing reads.
 */
import {
  dominanceFrontiers,
  dominatorTree,
  type DominatorTree,
} from "./dominators.ts";
import type { Graph } from "./graph.ts";

export interface VariableUse {
  readonly uses: Iterable<number>;
  readonly defines: Iterable<number>;
}

export interface SsaPlan {
  readonly tree: DominatorTree;
  /** Index = block: variables that enter as parameters, ascending. */
  readonly parameters: readonly (readonly number[])[];
  /** Is the variable live at the start of the block? */
  readonly liveIn: (block: number, variable: number) => boolean;
}

export function planSsa(
  graph: Graph,
  variables: number,
  blocks: readonly VariableUse[],
): SsaPlan {
  const tree = dominatorTree(graph);
  const words = (variables + 31) >>> 5;
  const live = liveness(graph, tree, words, blocks);
  const has = (block: number, variable: number): boolean =>
    (((live[block * words + (variable >>> 5)] ?? 0) >>> (variable & 31)) &
      1) !==
    0;
  const definitions: number[][] = Array.from({ length: variables }, () => []);
  for (const node of tree.order)
    for (const variable of blocks[node]?.defines ?? [])
      definitions[variable]?.push(node);
  const frontiers = dominanceFrontiers(tree);
  const parameters: number[][] = graph.successors.map(() => []);
  const placed = new Int32Array(graph.successors.length).fill(-1);
  for (const [variable, work] of definitions.entries())
    for (let node = work.pop(); node !== undefined; node = work.pop())
      for (const join of frontiers[node] ?? []) {
        if (placed[join] === variable || !has(join, variable)) continue;
        placed[join] = variable;
        parameters[join]?.push(variable);
        work.push(join);
      }
  return { tree, parameters, liveIn: has };
}

/** Bit sets of live-in variables, `words` words a block, one after another. */
function liveness(
  graph: Graph,
  tree: DominatorTree,
  words: number,
  blocks: readonly VariableUse[],
): Int32Array {
  const count = graph.successors.length;
  const live = new Int32Array(count * words);
  const kill = new Int32Array(count * words);
  const mark = (set: Int32Array, block: number, variable: number): void => {
    const at = block * words + (variable >>> 5);
    set[at] = (set[at] ?? 0) | (1 << (variable & 31));
  };
  for (const node of tree.order) {
    for (const variable of blocks[node]?.uses ?? []) mark(live, node, variable);
    for (const variable of blocks[node]?.defines ?? [])
      mark(kill, node, variable);
  }
  // Postorder reaches most of it in one sweep; a work list does the rest.
  const queued = new Uint8Array(count).fill(1);
  let work = [...tree.order];
  while (work.length > 0) {
    const again: number[] = [];
    for (let node = work.pop(); node !== undefined; node = work.pop()) {
      queued[node] = 0;
      let grew = false;
      for (const successor of graph.successors[node] ?? [])
        for (let word = 0; word < words; word++) {
          const at = node * words + word;
          const before = live[at] ?? 0;
          const after =
            before | ((live[successor * words + word] ?? 0) & ~(kill[at] ?? 0));
          if (after === before) continue;
          live[at] = after;
          grew = true;
        }
      if (!grew) continue;
      for (const predecessor of tree.predecessors[node] ?? [])
        if (queued[predecessor] === 0) {
          queued[predecessor] = 1;
          again.push(predecessor);
        }
    }
    work = again;
  }
  return live;
}
