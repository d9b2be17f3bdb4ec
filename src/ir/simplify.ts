/**
 * One walk down the dominator tree that makes values fewer: constants fold,
 * identities vanish, equal pure computations become one, branches on constants
 * become jumps, blocks in a row merge, a parameter that always gets the same value becomes it. Repeated
 * until a walk finds nothing, at most four times; then dead code goes.
 *
 * The rules, one line each, stand in simplify-rules.ts. Law: the program does
 * the same; every value of the result has the word that its origin had.
 */
import { removeDeadCode, isPure } from "./dead-code.ts";
import { dominatorTree, type DominatorTree } from "./dominators.ts";
import { edgesOf, graphOf } from "./graph.ts";
import { inferTypes } from "./infer.ts";
import { mapInstruction, mapTerminator, operandsOf } from "./operands.ts";
import { printOperation } from "./print.ts";
import type {
  Block,
  IrFunction,
  IrInstruction,
  IrProgram,
  Terminator,
  ValueId,
} from "./program.ts";
import { simplerInstruction, type Definitions } from "./simplify-rules.ts";
import { straighten } from "./straighten.ts";
import { foldBranch } from "./word.ts";

export function simplify(program: IrProgram): IrProgram {
  return inferTypes({
    ...program,
    functions: program.functions.map(simplifyFunction),
  });
}

function simplifyFunction(fn: IrFunction): IrFunction {
  let now = removeDeadCode(fn);
  // The first walk does nearly all; more than a few are not worth their time.
  for (let walks = 0; walks < 4; walks++) {
    const { next, changed } = walk(now);
    now = removeDeadCode(next);
    if (!changed) break;
  }
  return removeDeadCode(straighten(now));
}

function walk(fn: IrFunction): { next: IrFunction; changed: boolean } {
  const tree = dominatorTree(graphOf(fn));
  const replaced = new Map<ValueId, ValueId>();
  const definitions = new Map<ValueId, IrInstruction>();
  const byText = new Map<string, { value: ValueId; block: number }[]>();
  let changed = false;
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
  for (const [param, value] of sameArguments(fn, tree.order)) {
    replaced.set(param, value);
    changed = true;
  }
  const context: Definitions = { of: (value) => definitions.get(value) };
  const blocks: Block[] = [...fn.blocks];
  for (const node of treePreorder(tree)) {
    const block = fn.blocks[node];
    if (block === undefined) continue;
    const instructions: IrInstruction[] = [];
    for (const before of block.instructions) {
      let instruction = mapInstruction(before, { value: current });
      if (!("result" in before) || !isPure(instruction)) {
        if ("result" in before) definitions.set(before.result, instruction);
        instructions.push(instruction);
        continue;
      }
      const { result, at } = before;
      const simpler = simplerInstruction(instruction, context);
      if (simpler !== undefined) {
        changed = true;
        if (typeof simpler === "number") {
          replaced.set(result, simpler);
          continue;
        }
        instruction = { ...simpler, result, at };
      }
      const text = printOperation(instruction);
      const known = byText.get(text) ?? [];
      // The walk has left what no longer dominates, for good.
      while (
        known.length > 0 &&
        !tree.dominates(known.at(-1)?.block ?? 0, node)
      )
        known.pop();
      const same = known.at(-1);
      // An undefined word equals no other: nothing says they are the same.
      if (same !== undefined && instruction.kind !== "undefined") {
        replaced.set(result, same.value);
        changed = true;
        continue;
      }
      known.push({ value: result, block: node });
      byText.set(text, known);
      definitions.set(result, instruction);
      instructions.push(instruction);
    }
    const terminator = simplerTerminator(
      mapTerminator(block.terminator, current, (edge) => edge),
      context,
    );
    if (terminator.kind !== block.terminator.kind) changed = true;
    blocks[node] = { ...block, instructions, terminator };
  }
  // Arguments last: a back edge may carry what was replaced after it was seen.
  const next = {
    ...fn,
    blocks: blocks.map((block) => ({
      ...block,
      terminator: mapTerminator(
        block.terminator,
        (value) => value,
        (edge) => ({ ...edge, args: edge.args.map(current) }),
      ),
      // So do operands of blocks that stand before their dominators in `replaced`.
      instructions: block.instructions.map((instruction) =>
        operandsOf(instruction).some((value) => replaced.has(value))
          ? mapInstruction(instruction, { value: current })
          : instruction,
      ),
    })),
  };
  return { next: withoutReplacedParameters(next, replaced), changed };
}

/** Depth first: a subtree is done before the next one begins. */
function treePreorder(tree: DominatorTree): number[] {
  const order: number[] = [];
  const stack = tree.order.slice(0, 1);
  for (let node = stack.pop(); node !== undefined; node = stack.pop()) {
    order.push(node);
    stack.push(...(tree.children[node] ?? []).toReversed());
  }
  return order;
}

/** Parameters into which every edge carries one value, or the parameter itself. */
function sameArguments(
  fn: IrFunction,
  order: readonly number[],
): ReadonlyMap<ValueId, ValueId> {
  const incoming = new Map<ValueId, ValueId | "several">();
  for (const node of order)
    for (const edge of edgesOf(
      fn.blocks[node]?.terminator ?? { kind: "trap", reason: "", at: nowhere },
    ))
      for (const [index, param] of (
        fn.blocks[edge.block]?.params ?? []
      ).entries()) {
        const value = edge.args[index];
        if (value === undefined || value === param) continue;
        const before = incoming.get(param);
        if (before === undefined) incoming.set(param, value);
        else if (before !== value) incoming.set(param, "several");
      }
  const result = new Map<ValueId, ValueId>();
  for (const [param, value] of incoming) {
    if (value === "several") continue;
    // Two parameters that feed each other: one walk replaces one of them.
    let end: ValueId | undefined = value;
    while (end !== undefined && end !== param) end = result.get(end);
    if (end === undefined) result.set(param, value);
  }
  return result;
}

const nowhere = { function: "", instruction: 0 };

function withoutReplacedParameters(
  fn: IrFunction,
  replaced: ReadonlyMap<ValueId, ValueId>,
): IrFunction {
  const keeps = fn.blocks.map((block) =>
    block.params.map((param) => !replaced.has(param)),
  );
  return {
    ...fn,
    blocks: fn.blocks.map((block, at) => ({
      ...block,
      params: block.params.filter((_, index) => keeps[at]?.[index] === true),
      terminator: mapTerminator(
        block.terminator,
        (value) => value,
        (edge) => ({
          ...edge,
          args: edge.args.filter(
            (_, index) => keeps[edge.block]?.[index] === true,
          ),
        }),
      ),
    })),
  };
}

function simplerTerminator(
  terminator: Terminator,
  definitions: Definitions,
): Terminator {
  if (terminator.kind !== "branch") return terminator;
  const left = definitions.of(terminator.left);
  const right = definitions.of(terminator.right);
  if (left?.kind !== "const" || right?.kind !== "const") return terminator;
  const { op, width, then, otherwise, at } = terminator;
  const taken = foldBranch(op, width, left.value, right.value);
  return { kind: "jump", to: taken ? then : otherwise, at };
}
