/**
 * What translating one function needs to know of the whole program: numbers of
 * functions and maps, the call graph, who moves the packet, and where to report.
 */
import { InputError, UnsupportedError } from "../../base/index.ts";
import {
  placeOf,
  type FunctionSpec,
  type Instruction,
  type ProgramSpec,
} from "../../isa/index.ts";
import { printPlace } from "../../base/index.ts";
import { contextLayout, type ContextLayout } from "./context-layout.ts";
import { any, joinFacts, type Fact } from "./facts.ts";
import type { Guard } from "./guard.ts";
import { calledHelper } from "./helper-calls.ts";
import type { Layout } from "./layout.ts";
import { innerMaps, type MapKind } from "./map-layout.ts";

/** Why a run ended early, as the number that the compiled code hands over. */
export const faultNumber = {
  memory: 1,
  budget: 2,
  misaligned: 3,
  callback: 4,
  lockTwice: 5,
  lockNotHeld: 6,
  lockStuck: 7,
  noMap: 8,
} as const;

/** What compiling has to know beforehand. */
export interface ContextOptions {
  /** Some call names its callback at run time only, so any of them may be meant. */
  readonly anyCallback?: boolean;
  /** The variant that is translated, of a guarded program. */
  readonly guard?: Guard;
}

/** Nothing is known of r2 … r5 at the entry of a program. */
const unset: readonly Fact[] = Array.from({ length: 4 }, () => any);

function hasKeys(kind: MapKind | undefined): boolean {
  return (
    kind === "array" || kind === "hash" || kind === "lru" || kind === "lpm"
  );
}

export class ProgramContext {
  readonly program: ProgramSpec;
  readonly layout: Layout;
  readonly context: ContextLayout;
  /** Memory and maps are shared by threads: atomics are real ones. */
  readonly shared: boolean;
  readonly guard: Guard | undefined;
  readonly functionIndex: ReadonlyMap<string, number>;
  readonly mapIndex: ReadonlyMap<string, number>;
  /** Site number of each function's instruction 0. */
  readonly firstSite: readonly number[];
  /** Callers before callees. */
  readonly order: readonly number[];
  readonly movesPacket: readonly boolean[];
  /** Functions whose address is taken, in order. */
  readonly callbacks: readonly number[];
  /** Those of them that may already be running when they are called back. */
  readonly reentered: ReadonlySet<number>;
  /** Functions that a tail call may lead to: programs, not what they call. */
  readonly tailTargets: readonly number[];
  /** Sets of maps that a cell of a map of maps may hold, by number. */
  readonly innerSets: (readonly number[])[] = [];
  /** Set by the translation of a call whose callback is not known. */
  anyCallback: boolean;
  /** Facts about r1 … r5, joined over the calls seen so far. */
  readonly parameters: (readonly Fact[] | undefined)[];

  constructor(
    program: ProgramSpec,
    layout: Layout,
    options: ContextOptions = {},
  ) {
    this.program = program;
    this.layout = layout;
    this.context = contextLayout(program.type, layout.cell);
    this.shared = layout.shared;
    this.guard = options.guard;
    this.anyCallback = options.anyCallback === true;
    this.functionIndex = numbered(program.functions);
    this.mapIndex = numbered(program.maps);
    let site = 0;
    this.firstSite = program.functions.map((fn) => {
      const first = site;
      site += fn.instructions.length;
      return first;
    });
    const taken = program.functions.map((fn) => this.#taken(fn));
    this.callbacks = [...new Set(taken.flat())].sort((a, b) => a - b);
    const graph = program.functions.map((fn, index): Edges => {
      const calls = this.#called(fn);
      const callsBack = fn.instructions.some(takesCallback);
      const refers =
        callsBack && this.anyCallback ? this.callbacks : (taken[index] ?? []);
      return { calls, refers, callsBack };
    });
    const { order, reentered } = callersFirst(program, graph);
    this.order = order;
    this.reentered = reentered;
    this.movesPacket = movers(program, graph, this.callbacks);
    this.parameters = program.functions.map(() => undefined);
    this.tailTargets = this.#programs(graph);
    for (const index of [0, ...this.tailTargets])
      this.parameters[index] = [{ kind: "context", offset: 0 }, ...unset];
    if (this.anyCallback)
      for (const index of this.callbacks) this.parameters[index] = [];
  }

  /** Name of a function of the module that each variant has its own of. */
  own(name: string): string {
    return this.guard?.own(name) ?? name;
  }

  /** Whether calling that function back may move the packet; undefined: any of them. */
  callbackMoves(index: number | undefined): boolean {
    if (index !== undefined) return this.movesPacket[index] === true;
    return this.callbacks.some((each) => this.movesPacket[each] === true);
  }

  functionNumber(name: string): number {
    const index = this.functionIndex.get(name);
    if (index === undefined)
      throw new InputError(
        `${this.program.file}: ${this.program.name} calls ${name}, which the object does not hold`,
        { code: "function-missing" },
      );
    return index;
  }

  mapNumber(name: string): number {
    const index = this.mapIndex.get(name);
    if (index === undefined)
      throw new InputError(
        `${this.program.file}: ${this.program.name} names map ${name}, which the object does not hold`,
        { code: "map-missing" },
      );
    return index;
  }

  /** Adds what a call site knows about the arguments. */
  addParameters(index: number, facts: readonly Fact[]): void {
    const known = this.parameters[index];
    if (known?.length === 0) return;
    const crossed = facts.map(acrossCall);
    this.parameters[index] =
      known === undefined
        ? crossed
        : known.map((fact, at) =>
            joinFacts(fact, crossed[at] ?? { kind: "any" }),
          );
  }

  /** Number of the set of maps that a lookup in `outer` may give; undefined: not known. */
  innerSet(outer: number): number | undefined {
    const { maps } = this.layout;
    if (maps[outer]?.held !== "maps") return undefined;
    const inner = innerMaps(this.layout, outer);
    const keySizes = new Set(inner.map((index) => maps[index]?.spec.keySize));
    const hasValues = inner.every(
      (index) => maps[index]?.held === "values" && hasKeys(maps[index]?.kind),
    );
    if (inner.length === 0 || keySizes.size > 1 || !hasValues) return undefined;
    const known = this.innerSets.findIndex(
      (set) => set.join() === inner.join(),
    );
    return known >= 0 ? known : this.innerSets.push(inner) - 1;
  }

  /** The entry, what slots of the object name, and what nothing calls. */
  #programs(graph: readonly Edges[]): readonly number[] {
    const called = new Set(graph.flatMap(({ calls }) => calls));
    for (const index of this.callbacks) called.add(index);
    const named = this.program.maps.flatMap(({ values = [] }) =>
      values.flatMap(({ target }) =>
        target.kind === "function" ? [this.functionNumber(target.name)] : [],
      ),
    );
    return this.program.functions.flatMap((_, index) =>
      index === 0 || named.includes(index) || !called.has(index) ? [index] : [],
    );
  }

  refuse(fn: FunctionSpec, instruction: number, what: string): never {
    const at = printPlace(placeOf(fn, instruction));
    throw new UnsupportedError(
      `${this.program.file}: ${at}: the portable engine has no ${what}`,
      { feature: what },
    );
  }

  #called(fn: FunctionSpec): readonly number[] {
    return fn.instructions.flatMap((instruction) =>
      instruction.kind === "call" && instruction.callee.kind === "function"
        ? [this.functionNumber(instruction.callee.name)]
        : [],
    );
  }

  #taken(fn: FunctionSpec): readonly number[] {
    return fn.instructions.flatMap((instruction) =>
      instruction.kind === "load-wide" && instruction.value.kind === "function"
        ? [this.functionNumber(instruction.value.name)]
        : [],
    );
  }
}

/** A fact of the caller as the callee may state it: frames and names differ. */
function acrossCall(fact: Fact): Fact {
  if (fact.kind === "stack") return { kind: "stack" };
  // Else a call back could close a cycle that the graph of calls does not show.
  if (fact.kind === "function") return any;
  if (fact.kind === "packet" && typeof fact.id === "number")
    return { kind: "packet", id: "?", offset: 0 };
  return fact.kind === "value" ? { ...fact, id: -1 } : fact;
}

/** What one function calls, and whose address it takes. */
interface Edges {
  readonly calls: readonly number[];
  readonly refers: readonly number[];
  readonly callsBack: boolean;
}

/** By function: whether a call of it may move the packet. */
function movers(
  { functions }: ProgramSpec,
  graph: readonly Edges[],
  callbacks: readonly number[],
): readonly boolean[] {
  const moves = functions.map((fn) => fn.instructions.some(moving));
  for (let changed = true; changed;) {
    changed = false;
    for (const [index, { calls, refers, callsBack }] of graph.entries()) {
      const others = [...calls, ...refers, ...(callsBack ? callbacks : [])];
      if (moves[index] === true || !others.some((other) => moves[other]))
        continue;
      moves[index] = changed = true;
    }
  }
  return moves;
}

function moving(instruction: Instruction): boolean {
  return (
    instruction.kind === "call" &&
    calledHelper(instruction.callee)?.movesPacket === true
  );
}

function takesCallback(instruction: Instruction): boolean {
  return (
    instruction.kind === "call" &&
    calledHelper(instruction.callee)?.args.includes("callback") === true
  );
}

function numbered(
  named: readonly { readonly name: string }[],
): ReadonlyMap<string, number> {
  return new Map(named.map(({ name }, index) => [name, index]));
}

/**
 * Frames are static, so a function that is active may not be called again: a cycle of
 * calls cannot be run (nor does a kernel load it). A cycle that an address closes is
 * harmless as long as nobody calls back through it, as with timers that arm themselves.
 */
function callersFirst(
  program: ProgramSpec,
  graph: readonly Edges[],
): { readonly order: readonly number[]; readonly reentered: Set<number> } {
  const state = new Uint8Array(graph.length);
  const reentered = new Set<number>();
  const post: number[] = [];
  const visit = (index: number, byAddress: boolean): void => {
    if (state[index] === 2) return;
    if (state[index] === 1) {
      if (byAddress) reentered.add(index);
      else recursive(program, index);
      return;
    }
    state[index] = 1;
    for (const callee of graph[index]?.calls ?? []) visit(callee, false);
    for (const taken of graph[index]?.refers ?? []) visit(taken, true);
    state[index] = 2;
    post.push(index);
  };
  for (let index = 0; index < graph.length; index++) visit(index, true);
  return { order: post.reverse(), reentered };
}

export function recursive(program: ProgramSpec, index: number): never {
  throw new InputError(
    `${program.file}: ${program.functions[index]?.name ?? ""} calls itself, perhaps through others`,
    { code: "recursive-call" },
  );
}
