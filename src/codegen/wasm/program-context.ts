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
import { joinFacts, type Fact } from "./facts.ts";
import { helperCall } from "./helper-calls.ts";
import type { Layout } from "./layout.ts";

/** Why a run ended early, as the number that the compiled code hands over. */
export const faultNumber = { memory: 1, budget: 2 } as const;

export class ProgramContext {
  readonly program: ProgramSpec;
  readonly layout: Layout;
  readonly functionIndex: ReadonlyMap<string, number>;
  readonly mapIndex: ReadonlyMap<string, number>;
  /** Site number of each function's instruction 0. */
  readonly firstSite: readonly number[];
  /** Callers before callees. */
  readonly order: readonly number[];
  readonly movesPacket: readonly boolean[];
  /** Facts about r1 … r5, joined over the calls seen so far. */
  readonly parameters: (readonly Fact[] | undefined)[];

  constructor(program: ProgramSpec, layout: Layout) {
    this.program = program;
    this.layout = layout;
    this.functionIndex = numbered(program.functions);
    this.mapIndex = numbered(program.maps);
    let site = 0;
    this.firstSite = program.functions.map((fn) => {
      const first = site;
      site += fn.instructions.length;
      return first;
    });
    const calls = program.functions.map((fn) => this.#callees(fn));
    this.order = callersFirst(program, calls);
    const moves = program.functions.map((fn) => fn.instructions.some(moving));
    for (const index of this.order.toReversed())
      if (calls[index]?.some((callee) => moves[callee]) === true)
        moves[index] = true;
    this.movesPacket = moves;
    this.parameters = program.functions.map(() => undefined);
    this.parameters[0] = [{ kind: "context", offset: 0 }];
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
    const crossed = facts.map(acrossCall);
    this.parameters[index] =
      known === undefined
        ? crossed
        : known.map((fact, at) =>
            joinFacts(fact, crossed[at] ?? { kind: "any" }),
          );
  }

  /** Functions that a prog_array holds from the start, by slot. */
  tailTargets(map: number): readonly { slot: number; index: number }[] {
    const values = this.program.maps[map]?.values ?? [];
    return values.flatMap(({ index: slot, target }) =>
      target.kind === "function"
        ? [{ slot, index: this.functionNumber(target.name) }]
        : [],
    );
  }

  refuse(fn: FunctionSpec, instruction: number, what: string): never {
    const at = printPlace(placeOf(fn, instruction));
    throw new UnsupportedError(
      `${this.program.file}: ${at}: the portable engine has no ${what}`,
      { feature: what },
    );
  }

  #callees(fn: FunctionSpec): readonly number[] {
    return fn.instructions.flatMap((instruction) => {
      if (instruction.kind === "call" && instruction.callee.kind === "function")
        return [this.functionNumber(instruction.callee.name)];
      if (
        instruction.kind === "load-wide" &&
        instruction.value.kind === "function"
      )
        return [this.functionNumber(instruction.value.name)];
      return [];
    });
  }
}

/** A fact of the caller as the callee may state it: frames and names differ. */
function acrossCall(fact: Fact): Fact {
  if (fact.kind === "stack") return { kind: "stack" };
  if (fact.kind === "packet" && typeof fact.id === "number")
    return { kind: "packet", id: "?", offset: 0 };
  return fact.kind === "value" ? { ...fact, id: -1 } : fact;
}

function moving(instruction: Instruction): boolean {
  return (
    instruction.kind === "call" &&
    instruction.callee.kind === "helper" &&
    helperCall(instruction.callee.helper)?.movesPacket === true
  );
}

function numbered(
  named: readonly { readonly name: string }[],
): ReadonlyMap<string, number> {
  return new Map(named.map(({ name }, index) => [name, index]));
}

/** Frames are static, so a cycle of calls cannot be run (nor does a kernel load it). */
function callersFirst(
  program: ProgramSpec,
  calls: readonly (readonly number[])[],
): readonly number[] {
  const state = new Uint8Array(calls.length);
  const post: number[] = [];
  const visit = (index: number): void => {
    if (state[index] === 2) return;
    if (state[index] === 1)
      throw new InputError(
        `${program.file}: ${program.functions[index]?.name ?? ""} calls itself, perhaps through others`,
        { code: "recursive-call" },
      );
    state[index] = 1;
    for (const callee of calls[index] ?? []) visit(callee);
    state[index] = 2;
    post.push(index);
  };
  for (let index = 0; index < calls.length; index++) visit(index);
  return post.reverse();
}
