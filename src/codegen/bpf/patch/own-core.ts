/**
 * Which core is this? The number stands in the frame of every function that asks.
 *
 *   entry     r0 = *(u32 *)(r1 + 16)          the queue that the packet came by,
 *             if r0 < CORES goto known        or the CPU: call get_smp_processor_id
 *             r0 = CORES
 *      known: *(u64 *)(r10 + slot) = r0
 *   caller    r5 = *(u64 *)(r10 + slot)       an argument register that the callee
 *             call callee                     does not read
 *   callee    *(u64 *)(r10 + slot') = r5
 *
 * Numbers are 0 to CORES, and CORES means a queue that the plan has not: who indexes
 * with it finds no cell. A function that only passes the number on has it too. The
 * code in front is run once, by who enters the function; a jump to its start goes past.
 *
 * Refused: functions that are called back (their registers are the helper's) and
 * functions with five arguments.
 */
import { Bug, UnsupportedError } from "../../../base/index.ts";
import {
  editFunction,
  type Edit,
  type FunctionSpec,
  type Register,
} from "../../../isa/index.ts";
import { freeArgument } from "./arguments-read.ts";
import { assembled } from "./assembled.ts";
import { functionOf, withFunctions, type Code } from "./code.ts";
import { checkFrames, freeSlot } from "./frame.ts";

export interface OwnCore {
  /** Offset from r10 of the number, a u64. */
  readonly slot: number;
  /** Code that wants the number before all else is inserted here, reach "fall-through". */
  readonly at: number;
}

export interface OwnCoreRequest {
  readonly entry: string;
  readonly cores: number;
  /** Functions that ask; who calls them gets the number too. */
  readonly users: ReadonlySet<string>;
  /** Default: the queue that the packet came by. */
  readonly source?: "queue" | "cpu";
}

/** The code, and where each function that asks has the number. */
export function withOwnCore<T extends Code>(
  code: T,
  { entry, cores, users, source = "queue" }: OwnCoreRequest,
): { readonly code: T; readonly own: ReadonlyMap<string, OwnCore> } {
  const all = withCallers(code, users);
  if (all.length === 0) return { code, own: new Map() };
  if (!all.includes(entry))
    throw new Bug(`${entry} calls none of ${[...users].join(", ")}`);
  const registers = new Map(
    all
      .filter((name) => name !== entry)
      .map((name) => [name, registerFor(code, name)]),
  );
  const own = new Map<string, OwnCore>();
  const functions = all.map((name) => {
    const fn = functionOf(code, name);
    const slot = freeSlot(fn, 8);
    const register = registers.get(name);
    const text =
      register === undefined
        ? `${source === "queue" ? fromQueue : fromCpu}
           if r0 < ${cores} goto known
           r0 = ${cores}
           known:
           *(u64 *)(r10 + ${slot}) = r0`
        : `*(u64 *)(r10 + ${slot}) = r${register}`;
    const instructions = assembled(text);
    own.set(name, { slot, at: instructions.length });
    return editFunction(fn, [
      { kind: "insert", at: 0, instructions, reach: "fall-through" },
      ...handOver(fn, registers, slot),
    ]);
  });
  const patched = withFunctions(code, functions);
  checkFrames(patched);
  return { code: patched, own };
}

/** ctx->rx_queue_index. */
const fromQueue = "r0 = *(u32 *)(r1 + 16)";
const fromCpu = `r6 = r1
  call get_smp_processor_id
  r1 = r6`;

function handOver(
  fn: FunctionSpec,
  registers: ReadonlyMap<string, Register>,
  slot: number,
): Edit[] {
  return fn.instructions.flatMap((instruction, at): Edit[] => {
    if (instruction.kind !== "call" || instruction.callee.kind !== "function")
      return [];
    const register = registers.get(instruction.callee.name);
    if (register === undefined) return [];
    const instructions = assembled(`r${register} = *(u64 *)(r10 + ${slot})`);
    return [{ kind: "insert", at, instructions }];
  });
}

/** With every function that calls one of them, at however many removes. */
function withCallers(
  code: Code,
  users: ReadonlySet<string>,
): readonly string[] {
  const all = new Set(users);
  for (let before = -1; before !== all.size;) {
    before = all.size;
    for (const fn of code.functions)
      for (const instruction of fn.instructions) {
        if (
          instruction.kind === "load-wide" &&
          instruction.value.kind === "function" &&
          all.has(instruction.value.name)
        )
          throw new UnsupportedError(
            `${instruction.value.name} is called back, and asks which core it runs on`,
            {
              feature: "private cells in a callback",
              fix: "write the loop out, with a bound that is a constant",
            },
          );
        if (
          instruction.kind === "call" &&
          instruction.callee.kind === "function" &&
          all.has(instruction.callee.name)
        )
          all.add(fn.name);
      }
  }
  const names = code.functions.map(({ name }) => name);
  return names.filter((name) => all.has(name));
}

function registerFor(code: Code, name: string): Register {
  const register = freeArgument(code, name);
  if (register !== undefined && functionOf(code, name).linkage === "static")
    return register;
  throw new UnsupportedError(
    register === undefined
      ? `${name} has five arguments, and none is left for the core's number`
      : `${name} is a global function: the kernel checks it by its declared arguments`,
    {
      feature: "a core's number as an argument",
      fix: "make it a static function with at most four arguments",
    },
  );
}
