/**
 * Bytecode to SSA.
 *
 *   1. bytecodeGraph     blocks of reachable instructions
 *   2. functionArities   how many parameters each function has
 *   3. analyseFrame      which stack bytes are variables, which are memory
 *   4. planSsa           where variables (registers, stack pieces) need parameters
 *   5. liftFunction      instructions, block by block in dominator order
 *   6. removeDeadCode    addresses that only promoted accesses used
 *   7. inferTypes        regions and offsets of pointers, through calls
 *
 * Law: interpreting the result gives what interpreting the bytecode gives, on
 * every packet and state on which the bytecode reads nothing that it never wrote.
 *
 * Linear but for joins: a function of n instructions with v live variables costs
 * about n + blocks · v.
 */
import { Bug } from "../base/index.ts";
import type { FunctionSpec, ProgramSpec } from "../isa/index.ts";
import { bytecodeGraph } from "./bytecode-graph.ts";
import { removeDeadCode } from "./dead-code.ts";
import { analyseFrame, type FrameContext, type FrameSummary } from "./frame.ts";
import { inferTypes } from "./infer.ts";
import { liftFunction } from "./lift-function.ts";
import type { IrFunction, IrProgram } from "./program.ts";
import { callOrder, functionArities } from "./registers.ts";

/** The program in SSA form. Throws InputError on an unlinked or undecoded load. */
export function lift(program: ProgramSpec): IrProgram {
  const graphs = new Map(
    program.functions.map((fn) => [fn.name, bytecodeGraph(fn)]),
  );
  const calls = callOrder(program);
  const arities = functionArities(calls, graphs);
  const summaries = new Map<string, FrameSummary>();
  const context: FrameContext = {
    maps: program.maps,
    summaries,
    arityOf: (name) => arities.get(name) ?? 5,
  };
  const lifted = new Map<string, IrFunction>();
  const entry = program.functions[0];
  for (const fn of calls.order) {
    const graph = graphs.get(fn.name);
    if (graph === undefined) continue;
    const facts = analyseFrame(fn, graph, context);
    if (!calls.recursive.has(fn.name)) summaries.set(fn.name, facts.summary);
    // The entry has the context as parameter even if it never looks at it.
    const arity = fn === entry ? 1 : (arities.get(fn.name) ?? 5);
    lifted.set(
      fn.name,
      removeDeadCode(
        liftFunction({ fn, graph, facts, arity, arities, file: program.file }),
      ),
    );
  }
  return inferTypes({
    name: program.name,
    file: program.file,
    type: program.type,
    functions: program.functions.map((fn) => find(lifted, fn)),
    maps: program.maps,
  });
}

function find(
  lifted: ReadonlyMap<string, IrFunction>,
  fn: FunctionSpec,
): IrFunction {
  const found = lifted.get(fn.name);
  if (found === undefined) throw new Bug(`function ${fn.name} was not lifted`);
  return found;
}
