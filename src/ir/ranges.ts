/**
 * What intervals decide of a program: branches that have one outcome become jumps, and
 * edges that no packet can take are named. Callers come before what they call, so that
 * parameters are known as far as all calls are (callers.ts); how a function is looked at
 * stands in propagation.ts.
 */
import type { Place } from "../base/index.ts";
import { Callers, type Solved } from "./callers.ts";
import { removeDeadCode } from "./dead-code.ts";
import type { Decided } from "./decide.ts";
import type { Block, IrProgram } from "./program.ts";
import { Propagation, type RangeFacts } from "./propagation.ts";

/** Branches with one outcome are jumps, what nothing reaches is gone. */
export function decideByRange(
  program: IrProgram,
  facts: RangeFacts = {},
): Decided {
  const frozen = new Map(
    program.maps
      .filter(({ readOnly, data }) => readOnly && data !== undefined)
      .map((map) => [map.name, map]),
  );
  const infeasible: (Place & { taken: boolean })[] = [];
  const callers = new Callers(program);
  const solved = new Map<string, Solved>();
  for (const fn of callers.order) {
    const given = callers.parameters(fn.name);
    const found = new Propagation(fn, { frozen, facts, given }).run();
    callers.note(found.calls);
    solved.set(fn.name, found);
  }
  const functions = program.functions.map((fn) => {
    const {
      reached = new Set<number>(),
      outcomes = new Map<number, boolean>(),
    } = solved.get(fn.name) ?? {};
    return removeDeadCode({
      ...fn,
      blocks: fn.blocks.map((block): Block => {
        const { id, terminator } = block;
        if (terminator.kind !== "branch") return block;
        const outcome = outcomes.get(id);
        for (const taken of [true, false])
          if (!reached.has(id) || outcome === !taken)
            infeasible.push({ ...terminator.at, taken });
        if (outcome === undefined) return block;
        const to = outcome ? terminator.then : terminator.otherwise;
        return {
          ...block,
          terminator: { kind: "jump", to, at: terminator.at },
        };
      }),
    });
  });
  return { program: { ...program, functions }, infeasible };
}
