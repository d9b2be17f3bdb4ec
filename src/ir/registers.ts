/**
 * Which registers an instruction reads and writes, as bit sets (bit n: rn),
 * and how many arguments each function takes.
 */
import type {
  Callee,
  FunctionSpec,
  Instruction,
  Operand,
  ProgramSpec,
} from "../isa/index.ts";
import type { BytecodeGraph } from "./bytecode-graph.ts";
import { calleeArity } from "./callee.ts";

/** Registers r1 … r5, which a call destroys. */
export const callerSaved = 0b11_1110;

export interface RegisterUse {
  readonly reads: number;
  readonly writes: number;
}

/** Arguments that a call of `callee` reads: r1 … */
export type ArityOf = (callee: Callee) => number;

export function registersOf(
  instruction: Instruction,
  arityOf: ArityOf,
): RegisterUse {
  switch (instruction.kind) {
    case "alu": {
      const dst = 1 << instruction.dst;
      const src = operandMask(instruction.src);
      const moves =
        instruction.op === "mov" || instruction.op.startsWith("movsx");
      return { reads: moves ? src : dst | src, writes: dst };
    }
    case "neg":
    case "endian":
      return { reads: 1 << instruction.dst, writes: 1 << instruction.dst };
    case "address-cast":
      return { reads: 1 << instruction.src, writes: 1 << instruction.dst };
    case "load-wide":
      return { reads: 0, writes: 1 << instruction.dst };
    case "load":
    case "load-acquire":
      return { reads: 1 << instruction.base, writes: 1 << instruction.dst };
    case "store":
      return {
        reads: (1 << instruction.base) | operandMask(instruction.src),
        writes: 0,
      };
    case "store-release":
      return {
        reads: (1 << instruction.base) | (1 << instruction.src),
        writes: 0,
      };
    case "atomic": {
      const compares = instruction.op === "cmpxchg";
      return {
        reads:
          (1 << instruction.base) | (1 << instruction.src) | (compares ? 1 : 0),
        writes: instruction.fetch ? (compares ? 1 : 1 << instruction.src) : 0,
      };
    }
    case "branch":
      return {
        reads: (1 << instruction.left) | operandMask(instruction.right),
        writes: 0,
      };
    case "jump":
    case "may-goto":
      return { reads: 0, writes: 0 };
    case "call":
      return {
        reads: argumentMask(arityOf(instruction.callee)),
        writes: callerSaved | 1,
      };
    case "call-register":
      return { reads: 0, writes: callerSaved | 1 };
    case "exit":
      return { reads: 1, writes: 0 };
    case "load-packet":
      return {
        reads:
          (1 << 6) |
          (instruction.index === undefined ? 0 : 1 << instruction.index),
        writes: callerSaved | 1,
      };
  }
}

function operandMask(operand: Operand): number {
  return operand.kind === "register" ? 1 << operand.register : 0;
}

function argumentMask(count: number): number {
  return (2 << count) - 2;
}

/** Callees before callers; a function in a cycle of calls stands in `recursive`. */
export interface CallOrder {
  readonly order: readonly FunctionSpec[];
  readonly recursive: ReadonlySet<string>;
}

export function callOrder(program: ProgramSpec): CallOrder {
  const byName = new Map(program.functions.map((fn) => [fn.name, fn]));
  const order: FunctionSpec[] = [];
  const recursive = new Set<string>();
  const state = new Map<string, "open" | "done">();
  for (const root of program.functions) {
    if (state.has(root.name)) continue;
    const path: { fn: FunctionSpec; callees: string[] }[] = [];
    const open = (fn: FunctionSpec): void => {
      state.set(fn.name, "open");
      path.push({ fn, callees: calledFunctions(fn) });
    };
    open(root);
    for (let top = path.at(-1); top !== undefined; top = path.at(-1)) {
      const name = top.callees.pop();
      if (name === undefined) {
        state.set(top.fn.name, "done");
        order.push(top.fn);
        path.pop();
        continue;
      }
      const callee = byName.get(name);
      if (callee === undefined || state.get(name) === "done") continue;
      if (state.get(name) !== "open") {
        open(callee);
        continue;
      }
      const from = path.findIndex((step) => step.fn.name === name);
      for (const step of path.slice(from)) recursive.add(step.fn.name);
    }
  }
  return { order, recursive };
}

/** Functions called, or whose address is taken. */
function calledFunctions(fn: FunctionSpec): string[] {
  const names = new Set<string>();
  for (const instruction of fn.instructions) {
    if (instruction.kind === "call" && instruction.callee.kind === "function")
      names.add(instruction.callee.name);
    if (
      instruction.kind === "load-wide" &&
      instruction.value.kind === "function"
    )
      names.add(instruction.value.name);
  }
  return [...names];
}

/** The highest of r1 … r5 that each function reads before it writes it. */
export function functionArities(
  calls: CallOrder,
  graphs: ReadonlyMap<string, BytecodeGraph>,
): ReadonlyMap<string, number> {
  const arities = new Map<string, number>();
  for (const name of calls.recursive) arities.set(name, 5);
  const arityOf: ArityOf = (callee) => calleeArity(callee, arities);
  for (const fn of calls.order) {
    const graph = graphs.get(fn.name);
    if (graph === undefined || arities.has(fn.name)) continue;
    const live = liveAtEntry(fn, graph, arityOf) & callerSaved;
    arities.set(fn.name, live === 0 ? 0 : 31 - Math.clz32(live));
  }
  return arities;
}

function liveAtEntry(
  fn: FunctionSpec,
  graph: BytecodeGraph,
  arityOf: ArityOf,
): number {
  const summaries = graph.blocks.map((block) => {
    let uses = 0;
    let kills = 0;
    for (const instruction of fn.instructions.slice(block.first, block.end)) {
      const { reads, writes } = registersOf(instruction, arityOf);
      uses |= reads & ~kills;
      kills |= writes;
    }
    return { uses, kills };
  });
  const live = new Int32Array(graph.blocks.length);
  for (let changed = true; changed;) {
    changed = false;
    for (let at = graph.blocks.length - 1; at >= 0; at--) {
      let out = 0;
      for (const next of graph.successors[at] ?? []) out |= live[next] ?? 0;
      const { uses = 0, kills = 0 } = summaries[at] ?? {};
      const after = uses | (out & ~kills);
      if (after === live[at]) continue;
      live[at] = after;
      changed = true;
    }
  }
  return live[0] ?? 0;
}
