/**
 * How one instruction changes what is known (see facts.ts), and the fixed point
 * over a function's graph. The translator walks each block with the same function,
 * so that what it emits and what the fixed point assumed cannot differ.
 */
import type { FunctionSpec, Instruction, Register } from "../../isa/index.ts";
import {
  any,
  clearSlots,
  copyKnowledge,
  entryKnowledge,
  factOf,
  forgetPacket,
  joinInto,
  learnFromBranch,
  noteInside,
  noteWritten,
  operandFact,
  ownSlots,
  somewhereIn,
  type Fact,
  type Knowledge,
} from "./facts.ts";
import { targets, type FlowGraph } from "./flow-graph.ts";
import { calledHelper, type HelperCall } from "./helper-calls.ts";
import type { ProgramContext } from "./program-context.ts";

/** Knowledge at the start of each block. Argument facts of calls go to the context. */
export function solve(
  about: ProgramContext,
  fn: FunctionSpec,
  graph: FlowGraph,
  parameters: readonly Fact[],
): readonly Knowledge[] {
  const starts: (Knowledge | undefined)[] = graph.blocks.map(() => undefined);
  starts[0] = entryKnowledge(parameters);
  const waiting = new Set([0]);
  const arrive = (block: number, know: Knowledge): void => {
    const known = starts[block];
    if (known === undefined) starts[block] = know;
    else if (!joinInto(known, know)) return;
    waiting.add(block);
  };
  for (;;) {
    const number = lowest(waiting);
    const block = graph.blocks[number];
    const start = starts[number];
    if (block === undefined || start === undefined) break;
    waiting.delete(number);
    const know = copyKnowledge(start);
    for (let index = block.first; index < block.end; index++)
      transfer(about, know, fn, index);
    const last = fn.instructions[block.end - 1];
    if (last?.kind === "branch" && block.exit.kind === "branch") {
      const taken = copyKnowledge(know);
      learnFromBranch(taken, last, true);
      arrive(block.exit.taken, taken);
      learnFromBranch(know, last, false);
      arrive(block.exit.otherwise, know);
    } else for (const to of targets(block.exit)) arrive(to, know);
  }
  return starts.map((know) => know ?? entryKnowledge([]));
}

function lowest(numbers: ReadonlySet<number>): number {
  let least = Infinity;
  for (const number of numbers) if (number < least) least = number;
  return least === Infinity ? -1 : least;
}

export function transfer(
  about: ProgramContext,
  know: Knowledge,
  fn: FunctionSpec,
  index: number,
): void {
  const instruction = fn.instructions[index];
  if (instruction === undefined) return;
  switch (instruction.kind) {
    case "alu":
      return setFact(know, instruction.dst, afterAlu(know, instruction, index));
    case "neg":
    case "endian":
    case "address-cast":
      return setFact(know, instruction.dst, any);
    case "load-wide":
      return setFact(know, instruction.dst, wideFact(about, instruction));
    case "load":
    case "load-acquire": {
      const fact = loaded(about, know, instruction);
      touch(know, instruction, index);
      return setFact(know, instruction.dst, fact);
    }
    case "store":
    case "store-release":
      touch(know, instruction, index);
      return store(know, instruction);
    case "atomic":
      touch(know, instruction, index);
      spoil(
        know,
        factOf(know, instruction.base),
        instruction.offset,
        instruction.size,
      );
      if (instruction.op === "cmpxchg") setFact(know, 0, any);
      else if (instruction.fetch) setFact(know, instruction.src, any);
      return;
    case "call":
      return call(about, know, instruction, index);
    case "call-register":
    case "load-packet":
      for (let register = 0; register <= 5; register++)
        know.registers[register] = any;
      return;
    case "jump":
    case "branch":
    case "may-goto":
    case "exit":
      return;
  }
}

function setFact(know: Knowledge, register: Register, fact: Fact): void {
  if (register !== 10) know.registers[register] = fact;
}

type Alu = Instruction & { readonly kind: "alu" };

function afterAlu(know: Knowledge, alu: Alu, index: number): Fact {
  const source = operandFact(know, alu.src);
  if (alu.op === "mov" && alu.width === 64)
    return alu.src.kind === "register"
      ? named(know, alu.src.register, index)
      : source;
  if (alu.op === "mov" && source.kind === "number")
    return { kind: "number", value: BigInt.asUintN(32, source.value) };
  if (alu.width !== 64 || (alu.op !== "add" && alu.op !== "sub")) return any;
  const left = factOf(know, alu.dst);
  if (alu.op === "add" && isPointer(source) && !isPointer(left))
    return moved(source, left, { sign: 1, index });
  if (isPointer(source)) return any;
  if (left.kind === "number" && source.kind === "number") {
    const value =
      alu.op === "add" ? left.value + source.value : left.value - source.value;
    return { kind: "number", value: BigInt.asIntN(64, value) };
  }
  return moved(left, source, { sign: alu.op === "add" ? 1 : -1, index });
}

/** From here on the packet pointer in `register` has a name; its copies share it. */
function named(know: Knowledge, register: Register, index: number): Fact {
  const fact = factOf(know, register);
  if (fact.kind !== "packet" || fact.id !== "?") return fact;
  const name: Fact = { kind: "packet", id: index, offset: 0 };
  know.registers[register] = name;
  return name;
}

function isPointer(fact: Fact): boolean {
  return (
    fact.kind === "packet" ||
    fact.kind === "stack" ||
    fact.kind === "value" ||
    fact.kind === "context"
  );
}

/** The pointer, moved by a number. */
function moved(
  pointer: Fact,
  by: Fact,
  how: { readonly sign: 1 | -1; readonly index: number },
): Fact {
  const distance = smallNumber(by);
  if (pointer.kind === "packet") {
    if (distance !== undefined && pointer.id !== "?")
      return { ...pointer, offset: pointer.offset + how.sign * distance };
    return { kind: "packet", id: how.index, offset: 0 };
  }
  if (pointer.kind === "stack")
    return distance === undefined || pointer.offset === undefined
      ? { kind: "stack" }
      : { kind: "stack", offset: pointer.offset + how.sign * distance };
  if (pointer.kind === "context" && distance !== undefined)
    return { kind: "context", offset: pointer.offset + how.sign * distance };
  if (pointer.kind === "value") {
    if (distance !== undefined && pointer.offset !== undefined)
      return { ...pointer, offset: pointer.offset + how.sign * distance };
    return somewhereIn(pointer);
  }
  return any;
}

function smallNumber(fact: Fact): number | undefined {
  if (fact.kind !== "number") return undefined;
  const value = BigInt.asIntN(64, fact.value);
  return value >= -0x8000_0000n && value <= 0x7fff_ffffn
    ? Number(value)
    : undefined;
}

function wideFact(
  about: ProgramContext,
  { value }: Instruction & { readonly kind: "load-wide" },
): Fact {
  switch (value.kind) {
    case "number":
      return { kind: "number", value: BigInt.asIntN(64, value.value) };
    case "map":
      return { kind: "map", map: about.mapNumber(value.map) };
    case "map-value": {
      const map = about.mapNumber(value.map);
      // prettier-ignore
      return { kind: "value", map, offset: value.offset, mayBeNull: false, id: -1 };
    }
    case "function":
      return { kind: "function", index: about.functionNumber(value.name) };
    case "kernel-symbol":
    case "raw":
      return any;
  }
}

type Load = Instruction & { readonly kind: "load" | "load-acquire" };

function loaded(about: ProgramContext, know: Knowledge, load: Load): Fact {
  const base = factOf(know, load.base);
  if (base.kind === "context" && load.size === 4 && load.kind === "load") {
    const { context, layout } = about;
    const at = layout.cell.context + base.offset + load.offset;
    if (load.signed) return any;
    if (at === context.data) return { kind: "packet", id: "data", offset: 0 };
    if (at === context.dataMeta)
      return { kind: "packet", id: "meta", offset: 0 };
    if (at === context.dataEnd) return { kind: "packet-end" };
  }
  if (base.kind === "stack" && base.offset !== undefined && load.size === 8)
    return know.slots.get(base.offset + load.offset) ?? any;
  return any;
}

interface Access {
  readonly base: Register;
  readonly offset: number;
  readonly size: number;
}

/** The access did not fault: so its place exists, and its pointer is not null. */
function touch(know: Knowledge, access: Access, index: number): void {
  const fact = named(know, access.base, index);
  if (fact.kind === "packet")
    noteInside(know, fact.id, fact.offset + access.offset, access.size);
  if (fact.kind !== "value" || !fact.mayBeNull) return;
  const known: Fact = { ...fact, mayBeNull: false };
  know.registers[access.base] = known;
}

type Store = Instruction & { readonly kind: "store" | "store-release" };

function store(know: Knowledge, instruction: Store): void {
  const base = factOf(know, instruction.base);
  spoil(know, base, instruction.offset, instruction.size);
  if (base.kind !== "stack" || base.offset === undefined) return;
  const at = base.offset + instruction.offset;
  noteWritten(know, at, instruction.size);
  if (instruction.size !== 8 || at % 8 !== 0) return;
  const source = instruction.src;
  const fact =
    typeof source === "number"
      ? factOf(know, source)
      : operandFact(know, source);
  if (fact.kind !== "any") ownSlots(know).set(at, fact);
}

/** Spill slots that a write through `base` may have changed. */
function spoil(
  know: Knowledge,
  base: Fact,
  offset: number,
  size: number,
): void {
  if (base.kind === "any" || base.kind === "number") return clearSlots(know);
  if (base.kind !== "stack") return;
  if (base.offset === undefined) return clearSlots(know);
  const at = base.offset + offset;
  for (const slot of know.slots.keys())
    if (slot < at + size && at < slot + 8) ownSlots(know).delete(slot);
}

function call(
  about: ProgramContext,
  know: Knowledge,
  { callee }: Instruction & { readonly kind: "call" },
  index: number,
): void {
  const args = know.registers.slice(1, 6);
  let result: Fact = any;
  if (callee.kind === "function") {
    const number = about.functionNumber(callee.name);
    about.addParameters(number, args);
    clearSlots(know);
    if (about.movesPacket[number] === true) forgetPacket(know);
  } else {
    const helper = calledHelper(callee);
    if (helper === undefined) clearSlots(know);
    else result = afterHelper(about, know, helper, { args, index });
  }
  know.registers[0] = result;
  for (let register = 1; register <= 5; register++)
    know.registers[register] = any;
}

function afterHelper(
  about: ProgramContext,
  know: Knowledge,
  helper: HelperCall,
  { args, index }: { readonly args: readonly Fact[]; readonly index: number },
): Fact {
  // A bridged call may write wherever an argument leads.
  if (helper.bridged) clearSlots(know);
  for (const [at, word] of helper.args.entries()) {
    const fact = args[at] ?? any;
    if (word === "out") {
      const size = smallNumber(args[at + 1] ?? any);
      if (size === undefined) clearSlots(know);
      else {
        spoil(know, fact, 0, size);
        if (fact.kind === "stack" && fact.offset !== undefined)
          noteWritten(know, fact.offset, size);
      }
    }
    if (word !== "callback") continue;
    clearSlots(know);
    const callback = fact.kind === "function" ? fact.index : undefined;
    if (about.callbackMoves(callback)) forgetPacket(know);
    if (callback !== undefined)
      about.addParameters(callback, callbackFacts(helper, args, at));
  }
  if (helper.movesPacket) forgetPacket(know);
  const map = args[0];
  if (!isLookup(helper)) return any;
  if (map?.kind === "inner" && helper.name === "map_lookup_elem") {
    const { set } = map;
    const [first = 0] = about.innerSets[set] ?? [];
    // prettier-ignore
    return { kind: "value", map: first, set, offset: 0, mayBeNull: true, id: index };
  }
  if (map?.kind !== "map") return any;
  if (about.layout.maps[map.map]?.held !== "values") {
    const set = about.innerSet(map.map);
    return set === undefined ? any : { kind: "inner", set };
  }
  return { kind: "value", map: map.map, offset: 0, mayBeNull: true, id: index };
}

function isLookup({ name }: HelperCall): boolean {
  return name === "map_lookup_elem" || name === "map_lookup_percpu_elem";
}

/** What a callback's r1 … r5 hold; the argument behind it is handed through. */
function callbackFacts(
  { name }: HelperCall,
  args: readonly Fact[],
  at: number,
): readonly Fact[] {
  const context = args[at + 1] ?? any;
  if (name === "loop") return [any, context, any, any, any];
  const map = args[0];
  if (name !== "for_each_map_elem" || map?.kind !== "map")
    return [any, any, any, any, any];
  // prettier-ignore
  return [map, any, { kind: "value", map: map.map, offset: 0, mayBeNull: false, id: -1 }, context, any];
}
