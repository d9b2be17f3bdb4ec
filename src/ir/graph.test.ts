/** Graph algorithms against slow, obvious ones, on random graphs. */
import { deepEqual, equal } from "node:assert/strict";
import { test } from "node:test";
import { Random, id } from "../base/index.ts";
import { dominatorTree, dominators } from "./dominators.ts";
import { graphReversePostorder, type Graph } from "./graph.ts";
import { loops } from "./loops.ts";
import type { BlockId, IrFunction } from "./program.ts";

const seed = Number(process.env["DIVISI_SEED"] ?? 11);
const at = { function: "f", instruction: 0 };

function functionOf({ successors }: Graph): IrFunction {
  const edge = (block: number | undefined) => ({
    block: id<"b">(block ?? 0),
    args: [],
  });
  return {
    name: "f",
    params: [],
    values: [],
    slots: [],
    blocks: successors.map(([then, otherwise], index) => ({
      id: id(index),
      params: [],
      instructions: [],
      terminator:
        then === undefined
          ? { kind: "trap", reason: "", at }
          : otherwise === undefined
            ? { kind: "jump", to: edge(then), at }
            : {
                kind: "may-goto",
                then: edge(then),
                otherwise: edge(otherwise),
                at,
              },
    })),
  };
}

function randomGraph(random: Random): Graph {
  const count = 1 + random.below(12);
  return {
    successors: Array.from({ length: count }, () =>
      Array.from({ length: random.below(3) }, () => random.below(count)),
    ),
  };
}

function reached(graph: Graph, without = -1, from = 0): Set<number> {
  const seen = new Set<number>();
  const work = from === without ? [] : [from];
  for (let node = work.pop(); node !== undefined; node = work.pop()) {
    if (seen.has(node) || node === without) continue;
    seen.add(node);
    work.push(...(graph.successors[node] ?? []));
  }
  return seen;
}

/** By definition: `below` is not reached when `above` is taken away. */
function slowDominates(graph: Graph, above: number, below: number): boolean {
  const all = reached(graph);
  if (!all.has(above) || !all.has(below)) return false;
  return above === below || !reached(graph, above).has(below);
}

test(`dominators agree with the definition, DIVISI_SEED=${seed}`, () => {
  const random = new Random(seed);
  for (let round = 0; round < 400; round++) {
    const graph = randomGraph(random);
    const tree = dominators(functionOf(graph));
    for (const above of graph.successors.keys())
      for (const below of graph.successors.keys())
        equal(
          tree.dominates(id(above), id(below)),
          slowDominates(graph, above, below),
          `${JSON.stringify(graph)}: b${above} over b${below}`,
        );
    for (const node of graph.successors.keys()) {
      const parent = tree.immediate(id(node));
      const strict = [...graph.successors.keys()].filter(
        (above) => above !== node && slowDominates(graph, above, node),
      );
      // The nearest strict dominator is dominated by all others.
      const want = strict.find((a) =>
        strict.every((b) => slowDominates(graph, b, a)),
      );
      equal(parent, want);
      if (parent !== undefined)
        equal(tree.children(parent).includes(id(node)), true);
    }
  }
});

test("reverse postorder puts nodes before their successors, back edges excepted", () => {
  const random = new Random(seed);
  for (let round = 0; round < 200; round++) {
    const graph = randomGraph(random);
    const order = graphReversePostorder(graph);
    deepEqual(new Set(order), reached(graph));
    const rank = new Map(order.map((node, place) => [node, place]));
    for (const node of order)
      for (const next of graph.successors[node] ?? []) {
        const later = (rank.get(next) ?? 0) > (rank.get(node) ?? 0);
        // An edge that goes up lies on a cycle.
        if (!later) equal(reached(graph, -1, next).has(node), true);
      }
  }
});

test(`loops agree with the definition, DIVISI_SEED=${seed}`, () => {
  const random = new Random(seed);
  let irreducible = 0;
  for (let round = 0; round < 400; round++) {
    const graph = randomGraph(random);
    const forest = loops(functionOf(graph));
    const dominates = (a: number, b: number): boolean =>
      slowDominates(graph, a, b);
    const heads = new Set<number>();
    for (const [node, successors] of graph.successors.entries())
      for (const next of successors) if (dominates(next, node)) heads.add(next);
    deepEqual(
      new Set(forest.loops.map((loop) => loop.header as number)),
      heads,
    );
    for (const loop of forest.loops) {
      // A block of the loop reaches a latch without passing the header.
      const want = [...graph.successors.keys()].filter(
        (node) =>
          node === loop.header ||
          (reached(graph).has(node) &&
            loop.latches.some((latch) =>
              reached(graph, loop.header, node).has(latch),
            )),
      );
      deepEqual([...loop.blocks], want);
      const outer = forest.loops[loop.parent ?? -1];
      equal(loop.depth, (outer?.depth ?? 0) + 1);
      if (outer !== undefined) equal(outer.blocks.includes(loop.header), true);
    }
    const rest: Graph = {
      successors: graph.successors.map((successors, node) =>
        successors.filter((next) => !dominates(next, node)),
      ),
    };
    const cyclic = [...reached(graph)].filter((node) =>
      (rest.successors[node] ?? []).some((next) =>
        reached(rest, -1, next).has(node),
      ),
    );
    deepEqual(
      [...forest.irreducible].sort((a, b) => a - b),
      cyclic.sort((a, b) => a - b) as BlockId[],
    );
    irreducible += cyclic.length;
  }
  equal(irreducible > 0, true, "no irreducible graph was drawn");
});

test("a chain of 100,000 blocks needs no stack", () => {
  const successors = Array.from({ length: 100_000 }, (_, node) =>
    node === 99_999 ? [] : [node + 1],
  );
  const tree = dominatorTree({ successors });
  equal(tree.parent[99_999], 99_998);
  equal(tree.dominates(5, 99_999), true);
});
