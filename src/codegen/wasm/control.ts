/**
 * From a control-flow graph to WebAssembly's nested blocks, in two ways.
 *
 * - structured: by the dominator tree. A block with several forward edges into
 *   it is placed behind a `block` that its dominator opens; a loop head opens a
 *   `loop`; what has one way in is placed where that edge is. Reducible graphs
 *   only, which is every graph that clang was seen to emit.
 * - dispatch: one `loop` around a `br_table` on a block number. Takes every
 *   graph; the fallback, and the judge of the other way in tests.
 *
 * Recursion is a list of tasks, because generated functions nest thousands deep.
 *
 * Source: N. Ramsey, "Beyond Relooper: Recursive Translation of Unstructured
 * Control Flow to Structured Control Flow" (ICFP 2022), figure 3.
 */
import { op, type Code } from "./encoder.ts";
import type { FlowGraph } from "./flow-graph.ts";

/** What a block consists of; `control` decides where it goes. */
export interface BlockWriter {
  /** Spent once per entry into a loop head. */
  readonly loopHead: (block: number) => void;
  /** All instructions except the branch; for a return all. */
  readonly body: (block: number) => void;
  /** Leaves an i32 on the stack: non-zero when the branch is taken. */
  readonly condition: (block: number) => void;
}

export function structuredControl(
  graph: FlowGraph,
  code: Code,
  writer: BlockWriter,
): void {
  const { blocks, sources, dominator, loopHeads } = graph;
  const children: number[][] = blocks.map(() => []);
  const merges = sources.map(
    (from, block) => from.filter((source) => source < block).length > 1,
  );
  for (let block = blocks.length - 1; block > 0; block--)
    if (merges[block] === true) children[dominator[block] ?? 0]?.push(block);

  // Frames that are open, and in which of them a branch to a block ends.
  let depth = 0;
  const frameOf = new Int32Array(blocks.length).fill(-1);
  const tasks: (() => void)[] = [() => tree(0)];
  const then = (...next: readonly (() => void)[]): void => {
    tasks.push(...next.toReversed());
  };
  const close = (): void => {
    depth--;
    code.end();
  };
  const distance = (to: number): number => depth - 1 - (frameOf[to] ?? -1);
  const jumps = (from: number, to: number): boolean =>
    to <= from || merges[to] === true;

  function tree(block: number): void {
    const inside = children[block] ?? [];
    if (!loopHeads.has(block)) return within(block, inside, 0);
    code.loop();
    frameOf[block] = depth++;
    writer.loopHead(block);
    then(() => within(block, inside, 0), close);
  }

  function within(
    block: number,
    behind: readonly number[],
    from: number,
  ): void {
    const next = behind[from];
    if (next === undefined) return place(block);
    code.block();
    frameOf[next] = depth++;
    then(
      () => within(block, behind, from + 1),
      close,
      () => tree(next),
    );
  }

  function place(block: number): void {
    writer.body(block);
    const exit = blocks[block]?.exit;
    if (exit === undefined || exit.kind === "return") return;
    if (exit.kind === "goto") return follow(block, exit.to);
    writer.condition(block);
    if (jumps(block, exit.taken)) {
      code.brIf(distance(exit.taken));
      return follow(block, exit.otherwise);
    }
    if (jumps(block, exit.otherwise)) {
      code.byte(op.i32Eqz).brIf(distance(exit.otherwise));
      return follow(block, exit.taken);
    }
    code.if();
    depth++;
    then(
      () => follow(block, exit.taken),
      () => code.byte(op.else),
      () => follow(block, exit.otherwise),
      close,
    );
  }

  function follow(from: number, to: number): void {
    if (jumps(from, to)) code.br(distance(to));
    else tree(to);
  }

  for (let task = tasks.pop(); task !== undefined; task = tasks.pop()) task();
  code.byte(op.unreachable);
}

/** `counter` is an i32 local of its own, 0 at entry. */
export function dispatchControl(
  graph: FlowGraph,
  code: Code,
  writer: BlockWriter,
  counter: number,
): void {
  const count = graph.blocks.length;
  code.loop();
  for (let block = 0; block < count; block++) code.block();
  code
    .get(counter)
    .byte(op.brTable)
    .unsigned(count - 1);
  for (let block = 0; block < count; block++) code.unsigned(block);
  for (const [block, { exit }] of graph.blocks.entries()) {
    code.end();
    if (graph.loopHeads.has(block)) writer.loopHead(block);
    writer.body(block);
    if (exit.kind === "return") continue;
    if (exit.kind === "goto") code.i32Const(exit.to);
    else {
      code.i32Const(exit.taken).i32Const(exit.otherwise);
      writer.condition(block);
      code.byte(op.select);
    }
    code.set(counter).br(count - 1 - block);
  }
  code.end().byte(op.unreachable);
}
