/**
 * Where a function touches the values of one map: every load, store and atomic through
 * a pointer that one look-up gave, with its distance from the value's start.
 *
 * A forward analysis over registers and spilled words, whose contents are a look-up
 * (`site`) and an offset, nothing, or `lost`: a pointer that nobody knows enough of. A
 * lost pointer that is used, and a pointer that goes anywhere else, is told as `escape`.
 * Where a program addresses the map's only value directly, the instruction that makes
 * the address is the site.
 */
import {
  helperByNumber,
  targetOf,
  type FunctionSpec,
  type Instruction,
  type Register,
} from "../../../isa/index.ts";
import { MachineLiveness, registerBit } from "../lower/machine-liveness.ts";
import { fallsThrough } from "../patch/arguments-read.ts";
import { mapCalls } from "../patch/map-calls.ts";

export interface ValueAccess {
  readonly at: number;
  /** The call that looked the value up. */
  readonly site: number;
  /** From the value's start. */
  readonly offset: number;
  readonly size: number;
  /** `take` and `give`: the program's own lock in the value. */
  readonly op: "load" | "store" | "atomic" | "take" | "give";
  readonly base: Register;
}

export interface ValueAccesses {
  readonly accesses: readonly ValueAccess[];
  /** Where a pointer goes out of sight, if one does. */
  readonly escape?: { readonly at: number; readonly text: string };
}

export type Pointer =
  { readonly site: number; readonly offset: number } | "lost";

interface State {
  readonly registers: ReadonlyMap<number, Pointer>;
  readonly words: ReadonlyMap<number, Pointer>;
}

const liveness = new MachineLiveness([]);
const nothing: State = { registers: new Map(), words: new Map() };

export function valueAccesses(fn: FunctionSpec, map: string): ValueAccesses {
  const sites = sitesOf(fn, map);
  if (sites.size === 0) return { accesses: [] };
  const before = solve(fn, sites);
  const accesses: ValueAccess[] = [];
  for (const [at, instruction] of fn.instructions.entries()) {
    const state = before[at];
    if (state === undefined) continue;
    const escape =
      instruction.kind === "exit" && isCalled(fn) && state.registers.has(0)
        ? "a value is handed to who called"
        : escapeOf(instruction, state);
    if (escape !== undefined) return { accesses, escape: { at, text: escape } };
    const access = accessOf(instruction, at, state);
    if (access !== undefined) accesses.push(access);
  }
  return { accesses };
}

/** Where values of the map are looked up, or addressed directly. */
export function sitesOf(fn: FunctionSpec, map: string): ReadonlySet<number> {
  const direct = fn.instructions.flatMap((instruction, at) =>
    instruction.kind === "load-wide" &&
    instruction.value.kind === "map-value" &&
    instruction.value.map === map
      ? [at]
      : [],
  );
  const calls = mapCalls(fn)
    .filter((call) => call.map === map && call.helper === "map_lookup_elem")
    .map(({ at }) => at);
  return new Set([...direct, ...calls]);
}

/** What registers point to in front of each instruction; undefined: never reached. */
export function pointersBefore(
  fn: FunctionSpec,
  sites: ReadonlySet<number>,
): readonly (ReadonlyMap<number, Pointer> | undefined)[] {
  return solve(fn, sites).map((state) => state?.registers);
}

function solve(
  fn: FunctionSpec,
  sites: ReadonlySet<number>,
): readonly (State | undefined)[] {
  const { instructions } = fn;
  const before: (State | undefined)[] = instructions.map(() => undefined);
  const work = [0];
  before[0] = nothing;
  const reach = (at: number, state: State): void => {
    const old = before[at];
    const joined = old === undefined ? state : join(old, state);
    if (old !== undefined && same(old, joined)) return;
    before[at] = joined;
    work.push(at);
  };
  for (let at = work.pop(); at !== undefined; at = work.pop()) {
    const instruction = instructions[at];
    const state = before[at];
    if (instruction === undefined || state === undefined) continue;
    const after = step(instruction, at, state, sites);
    const target = targetOf(instruction);
    if (target !== undefined) reach(target, after);
    if (fallsThrough(instruction) && at + 1 < instructions.length)
      reach(at + 1, after);
  }
  return before;
}

function step(
  instruction: Instruction,
  at: number,
  state: State,
  sites: ReadonlySet<number>,
): State {
  const registers = new Map(state.registers);
  const words = new Map(state.words);
  const written = liveness.effect(instruction, 0).writes;
  const moved = movedPointer(instruction, state);
  if (instruction.kind === "call")
    for (let at = 0; at <= 5; at++) registers.delete(at);
  for (let register = 0; register <= 10; register++)
    if ((written & registerBit(register as Register)) !== 0n)
      registers.delete(register);
  if ("dst" in instruction && moved !== undefined)
    registers.set(instruction.dst, moved);
  if (instruction.kind === "call" && sites.has(at))
    registers.set(0, { site: at, offset: 0 });
  if (
    instruction.kind === "load-wide" &&
    instruction.value.kind === "map-value" &&
    sites.has(at)
  )
    registers.set(instruction.dst, {
      site: at,
      offset: instruction.value.offset,
    });
  if (instruction.kind === "store" && instruction.base === 10) {
    const { offset, size, src } = instruction;
    for (const word of words.keys())
      if (word < offset + size && offset < word + 8) words.delete(word);
    const source =
      src.kind === "register" ? state.registers.get(src.register) : undefined;
    if (source !== undefined && size === 8) words.set(offset, source);
  }
  return { registers, words };
}

/** What the instruction's register points to behind it. */
function movedPointer(
  instruction: Instruction,
  { registers, words }: State,
): Pointer | undefined {
  if (instruction.kind === "load" && instruction.base === 10)
    return instruction.size === 8 ? words.get(instruction.offset) : undefined;
  if (instruction.kind !== "alu") return undefined;
  const { op, width, dst, src } = instruction;
  const from =
    src.kind === "register" ? registers.get(src.register) : undefined;
  if (op === "mov") return width === 64 ? from : from && "lost";
  const own = registers.get(dst);
  if (own === undefined && from === undefined) return undefined;
  const isStep = op === "add" && width === 64 && src.kind === "immediate";
  if (!isStep || own === undefined || own === "lost") return "lost";
  return { ...own, offset: own.offset + src.value };
}

function accessOf(
  instruction: Instruction,
  at: number,
  { registers }: State,
): ValueAccess | undefined {
  const own = lockCall(instruction);
  if (own !== undefined) {
    const pointer = registers.get(1);
    if (pointer === undefined || pointer === "lost") return undefined;
    return { at, ...pointer, size: 4, base: 1, op: own };
  }
  if (!("base" in instruction)) return undefined;
  const pointer = registers.get(instruction.base);
  if (pointer === undefined || pointer === "lost") return undefined;
  const { kind, base, size } = instruction;
  return {
    at,
    site: pointer.site,
    offset: pointer.offset + instruction.offset,
    size,
    base,
    op:
      kind === "atomic"
        ? "atomic"
        : kind === "load" || kind === "load-acquire"
          ? "load"
          : "store",
  };
}

/** Another function's result is a pointer; a program's is a number. */
const isCalled = ({ section }: FunctionSpec): boolean => section === ".text";

/** A call that takes or gives back the lock in a value. */
function lockCall(instruction: Instruction): "take" | "give" | undefined {
  if (instruction.kind !== "call" || instruction.callee.kind !== "helper")
    return undefined;
  const name = helperByNumber(instruction.callee.helper)?.name;
  return name === "spin_lock"
    ? "take"
    : name === "spin_unlock"
      ? "give"
      : undefined;
}

function escapeOf(
  instruction: Instruction,
  { registers }: State,
): string | undefined {
  if ("base" in instruction && registers.get(instruction.base) === "lost")
    return "a value is reached through a pointer that is not known";
  if (instruction.kind === "store" && instruction.base !== 10) {
    const { src } = instruction;
    if (src.kind === "register" && registers.has(src.register))
      return "a pointer to a value is stored";
  }
  if (instruction.kind !== "call") return undefined;
  if (lockCall(instruction) !== undefined)
    return registers.get(1) === "lost"
      ? "a lock is reached through a pointer that is not known"
      : undefined;
  const { callee } = instruction;
  const count =
    callee.kind === "helper"
      ? (helperByNumber(callee.helper)?.args?.length ?? 5)
      : 5;
  for (let register = 1; register <= count; register++)
    if (registers.has(register)) return "a value is handed to a call";
  return undefined;
}

function join(left: State, right: State): State {
  return {
    registers: joinMaps(left.registers, right.registers),
    words: joinMaps(left.words, right.words),
  };
}

/** One that only one way has is used on neither: null was tested, or it is dead. */
function joinMaps(
  left: ReadonlyMap<number, Pointer>,
  right: ReadonlyMap<number, Pointer>,
): ReadonlyMap<number, Pointer> {
  const joined = new Map<number, Pointer>();
  for (const key of new Set([...left.keys(), ...right.keys()])) {
    const [one, other] = [left.get(key), right.get(key)];
    joined.set(key, samePointer(one, other) ? (one ?? "lost") : "lost");
  }
  return joined;
}

function samePointer(left?: Pointer, right?: Pointer): boolean {
  if (left === undefined || right === undefined) return false;
  if (left === "lost" || right === "lost") return left === right;
  return left.site === right.site && left.offset === right.offset;
}

function same(left: State, right: State): boolean {
  const equal = (
    one: ReadonlyMap<number, Pointer>,
    other: ReadonlyMap<number, Pointer>,
  ): boolean =>
    one.size === other.size &&
    [...one].every(([key, pointer]) => samePointer(pointer, other.get(key)));
  return (
    equal(left.registers, right.registers) && equal(left.words, right.words)
  );
}
