/**
 * What the registers hold where it matters for a patch: the address of a map, or an
 * address in the frame. A forward analysis over registers and spilled words; `unknown`
 * is always right, and who needs to know refuses it.
 *
 * Two ways with different contents join to unknown. A call that may write through an
 * address in the frame makes every spilled word from there upward unknown.
 */
import {
  helperByNumber,
  targetOf,
  type FunctionSpec,
  type HelperArgument,
  type Instruction,
  type Operand,
  type Register,
} from "../../../isa/index.ts";
import { MachineLiveness } from "../lower/machine-liveness.ts";
import { fallsThrough } from "./arguments-read.ts";

export type Content =
  | { readonly kind: "map"; readonly map: string }
  /** r10 + offset. */
  | { readonly kind: "frame"; readonly offset: number }
  /** Perhaps an address in the frame, nobody knows which. */
  | { readonly kind: "perhaps-frame" };

/** Contents in front of an instruction. */
export interface Contents {
  readonly registers: ReadonlyMap<Register, Content>;
  /** Spilled words, by offset from r10. */
  readonly words: ReadonlyMap<number, Content>;
}

/** By instruction; undefined: never reached. */
export function registerContents(
  fn: FunctionSpec,
): readonly (Contents | undefined)[] {
  const known = solved.get(fn);
  if (known !== undefined) return known;
  const contents = solve(fn);
  solved.set(fn, contents);
  return contents;
}

/** A function is asked about map by map. */
const solved = new WeakMap<FunctionSpec, readonly (Contents | undefined)[]>();

function solve(fn: FunctionSpec): readonly (Contents | undefined)[] {
  const { instructions } = fn;
  const before: (Contents | undefined)[] = instructions.map(() => undefined);
  const work: number[] = [];
  const reach = (at: number, contents: Contents): void => {
    const old = before[at];
    const joined = old === undefined ? contents : join(old, contents);
    if (old !== undefined && sameContents(old, joined)) return;
    before[at] = joined;
    work.push(at);
  };
  const start: Contents = {
    registers: new Map([[10, { kind: "frame", offset: 0 }]]),
    words: new Map(),
  };
  reach(0, start);
  for (let at = work.pop(); at !== undefined; at = work.pop()) {
    const instruction = instructions[at];
    const contents = before[at];
    if (instruction === undefined || contents === undefined) continue;
    const after = behind(instruction, contents);
    const target = targetOf(instruction);
    if (target !== undefined) reach(target, after);
    if (fallsThrough(instruction) && at + 1 < instructions.length)
      reach(at + 1, after);
  }
  return before;
}

const liveness = new MachineLiveness([]);

function behind(instruction: Instruction, contents: Contents): Contents {
  const registers = new Map(contents.registers);
  const { writes } = liveness.effect(instruction, 0);
  for (let register = 0; register < 10; register++)
    if (((writes >> BigInt(register)) & 1n) === 1n)
      registers.delete(register as Register);
  const result = written(instruction, contents);
  if (result !== undefined && "dst" in instruction)
    registers.set(instruction.dst, result);
  return { registers, words: wordsBehind(instruction, contents) };
}

/** What the destination register holds afterwards, if that is of interest. */
function written(
  instruction: Instruction,
  { registers, words }: Contents,
): Content | undefined {
  if (instruction.kind === "load-wide")
    return instruction.value.kind === "map"
      ? { kind: "map", map: instruction.value.map }
      : undefined;
  if (instruction.kind === "load")
    return instruction.base === 10 && instruction.size === 8
      ? words.get(instruction.offset)
      : undefined;
  if (instruction.kind !== "alu" || instruction.width !== 64) return undefined;
  const { op, src, dst } = instruction;
  const given = contentOf(src, registers);
  if (op === "mov") return given;
  if (op !== "add" && op !== "sub") return undefined;
  const old = registers.get(dst);
  if (old?.kind === "frame" && src.kind === "immediate")
    return {
      kind: "frame",
      offset: old.offset + (op === "add" ? src.value : -src.value),
    };
  return isFrame(old) || (op === "add" && isFrame(given))
    ? { kind: "perhaps-frame" }
    : undefined;
}

function isFrame(content: Content | undefined): boolean {
  return content !== undefined && content.kind !== "map";
}

function contentOf(
  src: Operand,
  registers: Contents["registers"],
): Content | undefined {
  return src.kind === "register" ? registers.get(src.register) : undefined;
}

function wordsBehind(
  instruction: Instruction,
  { registers, words }: Contents,
): Contents["words"] {
  if (instruction.kind === "call-register") return new Map();
  if (instruction.kind === "call") {
    let lowest = 0;
    for (const register of writableArguments(instruction)) {
      const content = registers.get(register);
      if (content?.kind === "perhaps-frame") return new Map();
      if (content?.kind === "frame") lowest = Math.min(lowest, content.offset);
    }
    return lowest < 0 ? without(words, lowest, 0) : words;
  }
  if (
    instruction.kind !== "store" &&
    instruction.kind !== "store-release" &&
    instruction.kind !== "atomic"
  )
    return words;
  const base = registers.get(instruction.base);
  if (base?.kind === "perhaps-frame") return new Map();
  if (base?.kind !== "frame") return words;
  const low = base.offset + instruction.offset;
  const kept = without(words, low, low + instruction.size);
  if (instruction.kind === "store" && instruction.size === 8) {
    const value = contentOf(instruction.src, registers);
    if (value !== undefined) kept.set(low, value);
  }
  return kept;
}

function without(
  words: Contents["words"],
  low: number,
  high: number,
): Map<number, Content> {
  return new Map([...words].filter(([at]) => at + 8 <= low || at >= high));
}

const five = [1, 2, 3, 4, 5] as const;

/** Registers whose memory the call may write. */
function writableArguments(
  instruction: Instruction & { readonly kind: "call" },
): readonly Register[] {
  const { callee } = instruction;
  const args =
    callee.kind === "helper" ? helperByNumber(callee.helper)?.args : undefined;
  if (args === undefined) return five;
  return five.filter((register) => {
    const argument = args[register - 1];
    return argument !== undefined && !isReadOnly(argument);
  });
}

function isReadOnly(argument: HelperArgument): boolean {
  if (argument.kind === "memory" || argument.kind === "map-value")
    return argument.access === "read";
  return (
    argument.kind === "map-key" ||
    argument.kind === "number" ||
    argument.kind === "size" ||
    argument.kind === "map" ||
    argument.kind === "string"
  );
}

function join(one: Contents, other: Contents): Contents {
  return {
    registers: common(one.registers, other.registers),
    words: common(one.words, other.words),
  };
}

function common<K>(
  one: ReadonlyMap<K, Content>,
  other: ReadonlyMap<K, Content>,
): ReadonlyMap<K, Content> {
  const both = new Map<K, Content>();
  for (const key of new Set([...one.keys(), ...other.keys()])) {
    const left = one.get(key);
    const right = other.get(key);
    if (left !== undefined && sameContent(left, right)) both.set(key, left);
    else if (isFrame(left) || isFrame(right))
      both.set(key, { kind: "perhaps-frame" });
  }
  return both;
}

function sameContent(left: Content, right: Content | undefined): boolean {
  if (left.kind !== right?.kind) return false;
  if (left.kind === "map")
    return right.kind === "map" && left.map === right.map;
  return (
    left.kind === "perhaps-frame" ||
    (right.kind === "frame" && left.offset === right.offset)
  );
}

function sameContents(one: Contents, other: Contents): boolean {
  return same(one.registers, other.registers) && same(one.words, other.words);
}

function same<K>(
  one: ReadonlyMap<K, Content>,
  other: ReadonlyMap<K, Content>,
): boolean {
  return (
    one.size === other.size &&
    [...one].every(([key, content]) => sameContent(content, other.get(key)))
  );
}
