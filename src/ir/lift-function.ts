/**
 * One function of bytecode to SSA, with all decisions about its frame made.
 *
 * Variables: 0 … 9 are registers, 10 + p is stack piece p. Blocks are lifted in
 * reverse postorder, so that the variables of the immediate dominator are known;
 * edges get their arguments when all blocks are done.
 */
import { id } from "../base/index.ts";
import { placeOf, type FunctionSpec, type Instruction } from "../isa/index.ts";
import type { BytecodeGraph } from "./bytecode-graph.ts";
import { calleeArity } from "./callee.ts";
import type { FrameFacts } from "./frame.ts";
import { FunctionBuilder } from "./function-builder.ts";
import {
  liftInstruction,
  readOperand,
  type Scope,
} from "./lift-instruction.ts";
import type { Edge, IrFunction, Terminator, ValueId } from "./program.ts";
import { registersOf, type ArityOf } from "./registers.ts";
import { planSsa, type SsaPlan, type VariableUse } from "./ssa.ts";

export interface FunctionInput {
  readonly fn: FunctionSpec;
  readonly graph: BytecodeGraph;
  readonly facts: FrameFacts;
  readonly arity: number;
  readonly arities: ReadonlyMap<string, number>;
  /** For messages. */
  readonly file: string;
}

export function liftFunction(input: FunctionInput): IrFunction {
  const { fn, graph, facts, arity } = input;
  const variables = 10 + facts.layout.pieces.length;
  const plan = planSsa(graph, variables, variableUses(input));
  const builder = new FunctionBuilder(
    fn.name,
    graph.blocks.length,
    facts.layout.slots,
  );
  const params = Array.from({ length: arity }, () => builder.newValue());
  const out: (Int32Array | undefined)[] = graph.blocks.map(() => undefined);
  for (const node of plan.tree.order) {
    const parent = plan.tree.parent[node] ?? -1;
    const variablesHere = new Int32Array(variables).fill(-1);
    if (parent >= 0) variablesHere.set(out[parent] ?? []);
    else
      for (const [index, param] of params.entries())
        variablesHere[index + 1] = param;
    for (const variable of plan.parameters[node] ?? [])
      variablesHere[variable] = builder.parameter(node);
    liftBlock(node, variablesHere, { ...input, builder, plan });
    out[node] = variablesHere;
  }
  for (const node of plan.tree.order)
    endBlock(node, out, { ...input, builder, plan });
  return builder.finish(params);
}

interface Work extends FunctionInput {
  readonly builder: FunctionBuilder;
  readonly plan: SsaPlan;
}

function arityFunction(input: FunctionInput): ArityOf {
  return (callee) => calleeArity(callee, input.arities);
}

/** What each block reads from before it, and writes. */
function variableUses(input: FunctionInput): VariableUse[] {
  const { fn, graph, facts } = input;
  const arityOf = arityFunction(input);
  return graph.blocks.map((block) => {
    const uses = new Set<number>();
    const defines = new Set<number>();
    for (let at = block.first; at < block.end; at++) {
      const instruction = fn.instructions[at];
      if (instruction === undefined) continue;
      const { reads, writes } = registersOf(instruction, arityOf);
      const pieces = piecesAt(instruction, at, facts) ?? [];
      const stores =
        instruction.kind === "store" || instruction.kind === "store-release";
      for (let register = 0; register < 10; register++)
        if (((reads >>> register) & 1) !== 0 && !defines.has(register))
          uses.add(register);
      for (const piece of pieces)
        if (stores) defines.add(10 + piece);
        else if (!defines.has(10 + piece)) uses.add(10 + piece);
      for (let register = 0; register < 10; register++)
        if (((writes >>> register) & 1) !== 0) defines.add(register);
    }
    return { uses, defines };
  });
}

/** The promoted stack pieces that a load or store goes to. */
function piecesAt(
  instruction: Instruction,
  at: number,
  facts: FrameFacts,
): readonly number[] | undefined {
  const offset = facts.access[at];
  return offset === undefined || !("size" in instruction)
    ? undefined
    : facts.layout.piecesOf(offset, instruction.size);
}

function liftBlock(node: number, variables: Int32Array, work: Work): void {
  const { fn, graph, facts, builder } = work;
  const block = graph.blocks[node];
  if (block === undefined) return;
  const scope: Scope = {
    block: node,
    variables,
    builder,
    layout: facts.layout,
    file: work.file,
    arityOf: arityFunction(work),
  };
  for (let at = block.first; at < block.end; at++) {
    const instruction = fn.instructions[at];
    if (instruction === undefined) continue;
    builder.at = placeOf(fn, at);
    liftInstruction(instruction, scope, {
      pieces: piecesAt(instruction, at, facts),
      access: facts.access[at],
      result: facts.result[at],
    });
  }
}

function endBlock(
  node: number,
  out: readonly (Int32Array | undefined)[],
  work: Work,
): void {
  const { fn, graph, facts, builder, plan } = work;
  const block = graph.blocks[node];
  const variables = out[node];
  if (block === undefined || variables === undefined) return;
  const at = Math.max(block.end - 1, block.first);
  builder.at = placeOf(fn, at);
  const scope: Scope = {
    block: node,
    variables,
    builder,
    layout: facts.layout,
    file: work.file,
    arityOf: arityFunction(work),
  };
  const edge = (index: number): Edge => {
    const target = block.successors[index] ?? 0;
    const args = (plan.parameters[target] ?? []).map((variable) => {
      const value = variables[variable] ?? -1;
      return value >= 0
        ? id<"v">(value)
        : builder.emit(node, { kind: "undefined" });
    });
    return { block: id(target), args };
  };
  const last = block.end > block.first ? fn.instructions[at] : undefined;
  builder.end(node, terminator(last, { block, scope, edge }));
}

function terminator(
  last: Instruction | undefined,
  context: {
    readonly block: { readonly successors: readonly number[] };
    readonly scope: Scope;
    readonly edge: (index: number) => Edge;
  },
): Terminator {
  const { scope, edge, block } = context;
  const { at } = scope.builder;
  const arms = block.successors.length;
  if (last?.kind === "exit") {
    const value: ValueId = readOperand(
      { kind: "register", register: 0 },
      scope,
    );
    return { kind: "return", value, at };
  }
  if (last?.kind === "call-register")
    return { kind: "trap", reason: "calls through a register", at };
  if (arms === 0)
    return { kind: "trap", reason: "leaves the function's code", at };
  if (last?.kind === "branch")
    return {
      kind: "branch",
      op: last.op,
      width: last.width,
      left: readOperand({ kind: "register", register: last.left }, scope),
      right: readOperand(last.right, scope),
      then: edge(0),
      otherwise: edge(1),
      at,
    };
  if (last?.kind === "may-goto")
    return { kind: "may-goto", then: edge(0), otherwise: edge(1), at };
  return { kind: "jump", to: edge(0), at };
}
