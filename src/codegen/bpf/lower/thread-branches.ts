/**
 * Branches whose answer is known on some way to them:
 *
 *   b1: jump b3(1)                       b1: jump b4
 *   b2: jump b3(0)                  →    b2: jump b5
 *   b3(x): branch x != 0 ? b4 : b5
 *
 * Only blocks that do nothing else, and whose parameters nobody uses behind them:
 * then what is used behind them is defined in front of them, on every way.
 *
 * Law: the program does the same. Constants may stand where their uses are not
 * dominated; selection makes them anew anyway.
 */
import {
  edgesOf,
  foldBranch,
  mapTerminator,
  operandsOf,
  terminatorOperands,
  type Block,
  type BlockId,
  type Edge,
  type IrFunction,
  type ValueId,
} from "../../../ir/index.ts";

export function threadBranches(fn: IrFunction): IrFunction {
  const constants = new Map<ValueId, bigint>();
  for (const block of fn.blocks)
    for (const instruction of block.instructions)
      if (instruction.kind === "const")
        constants.set(instruction.result, instruction.value);
  let now = fn;
  for (let round = 0; round < 8; round++) {
    const next = threaded(now, constants);
    if (next === undefined) return now;
    now = next;
  }
  return now;
}

function threaded(
  fn: IrFunction,
  constants: ReadonlyMap<ValueId, bigint>,
): IrFunction | undefined {
  const local = localParameters(fn);
  const deciding = fn.blocks.map(
    (block) =>
      block.terminator.kind === "branch" &&
      block.params.length > 0 &&
      block.params.every((param) => local[param] === 1) &&
      block.instructions.every(({ kind }) => kind === "const"),
  );
  let changed = false;
  const through = (edge: Edge, from: BlockId): Edge => {
    const block = fn.blocks[edge.block];
    if (block === undefined || deciding[edge.block] !== true) return edge;
    const next = decided(block, edge, constants);
    // A way back to itself would be followed for ever.
    if (next === undefined || next.block === edge.block || from === edge.block)
      return edge;
    changed = true;
    return next;
  };
  const blocks = fn.blocks.map((block): Block => ({
    ...block,
    terminator: mapTerminator(
      block.terminator,
      (value) => value,
      (edge) => through(edge, block.id),
    ),
  }));
  return changed ? { ...fn, blocks } : undefined;
}

/** Index = value: 1 for parameters that only the end of their own block uses. */
function localParameters(fn: IrFunction): Uint8Array {
  const home = new Int32Array(fn.values.length).fill(-1);
  for (const block of fn.blocks)
    for (const param of block.params) home[param] = block.id;
  const local = new Uint8Array(fn.values.length).fill(1);
  for (const block of fn.blocks) {
    const use = (value: ValueId): void => {
      if (home[value] !== block.id) local[value] = 0;
    };
    for (const instruction of block.instructions)
      for (const value of operandsOf(instruction)) use(value);
    for (const value of terminatorOperands(block.terminator)) use(value);
    for (const edge of edgesOf(block.terminator)) edge.args.forEach(use);
  }
  return local;
}

/** Where the branch at the end of a block leads who comes over the edge. */
function decided(
  block: Block,
  edge: Edge,
  constants: ReadonlyMap<ValueId, bigint>,
): Edge | undefined {
  const { terminator, params } = block;
  if (terminator.kind !== "branch") return undefined;
  const given = (value: ValueId): ValueId => {
    const index = params.indexOf(value);
    return index < 0 ? value : (edge.args[index] ?? value);
  };
  const left = constants.get(given(terminator.left));
  const right = constants.get(given(terminator.right));
  if (left === undefined || right === undefined) return undefined;
  const { op, width, then, otherwise } = terminator;
  const next = foldBranch(op, width, left, right) ? then : otherwise;
  return { block: next.block, args: next.args.map(given) };
}
