/**
 * What frozen data decides: branches whose outcome follows from constants and from
 * read-only variables, and so edges that no packet can take.
 *
 * An option of a program is a read-only variable, and the side that it turns off is
 * still in the bytecode; the kernel's verifier leaves such code out too. Constants are
 * those of constants.ts, a function at a time; parameters may be anything.
 *
 * One-way sound: an edge called infeasible is taken by no packet as long as the data
 * section stays as it is; an edge not called so may still be.
 */
import type { Place } from "../base/index.ts";
import { frozenData, propagate } from "./constants.ts";
import { isPure, removeDeadCode } from "./dead-code.ts";
import { edgesOf } from "./graph.ts";
import { operandsOf, terminatorOperands } from "./operands.ts";
import type { Block, IrFunction, IrInstruction, IrProgram } from "./program.ts";

export interface Decided {
  /** Decided branches are jumps, known words constants; what nothing reaches is gone. */
  readonly program: IrProgram;
  readonly infeasible: readonly (Place & { readonly taken: boolean })[];
}

export function decide(program: IrProgram): Decided {
  const frozen = frozenData(program);
  const infeasible: (Place & { taken: boolean })[] = [];
  const functions = program.functions.map((fn) => {
    const { reached, outcomes, words } = propagate(fn, frozen);
    const known = (each: IrInstruction): IrInstruction => {
      if (!("result" in each) || each.kind === "const" || !isPure(each))
        return each;
      const value = words.get(each.result);
      const { result, at } = each;
      return typeof value === "bigint"
        ? { kind: "const", value, result, at }
        : each;
    };
    return withoutUnread({
      ...fn,
      blocks: fn.blocks.map((block): Block => {
        const { terminator } = block;
        const outcome = outcomes.get(block.id);
        const isReached = reached.has(block.id);
        if (terminator.kind === "branch")
          for (const taken of [true, false])
            if (!isReached || outcome === !taken)
              infeasible.push({ ...terminator.at, taken });
        const instructions = block.instructions.map(known);
        if (terminator.kind !== "branch" || outcome === undefined)
          return { ...block, instructions };
        const to = outcome ? terminator.then : terminator.otherwise;
        return {
          ...block,
          instructions,
          terminator: { kind: "jump", to, at: terminator.at },
        };
      }),
    });
  });
  return { program: { ...program, functions }, infeasible };
}

/** A word of the context whose only use was a difference with itself says nothing. */
function withoutUnread(fn: IrFunction): IrFunction {
  const live = removeDeadCode(fn);
  const used = new Set(
    live.blocks.flatMap(({ instructions, terminator }) => [
      ...instructions.flatMap(operandsOf),
      ...terminatorOperands(terminator),
      ...edgesOf(terminator).flatMap(({ args }) => args),
    ]),
  );
  const isUnread = (each: IrInstruction): boolean => {
    if (each.kind !== "load" || used.has(each.result)) return false;
    const type = live.values[each.address];
    return type?.kind === "pointer" && type.region.kind === "context";
  };
  if (!live.blocks.some(({ instructions }) => instructions.some(isUnread)))
    return live;
  return removeDeadCode({
    ...live,
    blocks: live.blocks.map((block) => ({
      ...block,
      instructions: block.instructions.filter((each) => !isUnread(each)),
    })),
  });
}
