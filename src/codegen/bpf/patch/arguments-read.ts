/**
 * Which argument registers a function reads as it is given them: those that are read
 * somewhere before they are written. The others are free to hand something over.
 *
 * What is not known of a call (a helper without a description, a function that calls
 * itself) reads all five. So a register is called free only where it is.
 */
import {
  helperByNumber,
  kfuncByName,
  targetOf,
  type FunctionSpec,
  type Instruction,
  type Register,
} from "../../../isa/index.ts";
import { MachineLiveness, registerBit } from "../lower/machine-liveness.ts";
import { functionOf, type Code } from "./code.ts";

const argumentRegisters: readonly Register[] = [1, 2, 3, 4, 5];

/** The highest of r1 to r5 that the function does not read; undefined: it reads all. */
export function freeArgument(code: Code, name: string): Register | undefined {
  const read = argumentsRead(code, name);
  return argumentRegisters
    .toReversed()
    .find((register) => (read & registerBit(register)) === 0n);
}

const liveness = new MachineLiveness([]);
const allArguments = 0b11_1110n;

function argumentsRead(
  code: Code,
  name: string,
  open: ReadonlySet<string> = new Set(),
): bigint {
  if (open.has(name)) return allArguments;
  const fn = functionOf(code, name);
  const inner = new Set([...open, name]);
  const effects = fn.instructions.map((instruction) => {
    const { reads, writes } = liveness.effect(instruction, 0);
    return { reads: reads | callReads(code, instruction, inner), writes };
  });
  return wantedAtStart(fn, effects) & allArguments;
}

function callReads(
  code: Code,
  instruction: Instruction,
  open: ReadonlySet<string>,
): bigint {
  if (instruction.kind === "call-register") return allArguments;
  if (instruction.kind !== "call") return 0n;
  const { callee } = instruction;
  if (callee.kind === "function") return argumentsRead(code, callee.name, open);
  const args =
    callee.kind === "helper"
      ? helperByNumber(callee.helper)?.args
      : callee.kind === "kfunc"
        ? kfuncByName(callee.name)?.args
        : undefined;
  return args === undefined
    ? allArguments
    : ((1n << BigInt(args.length)) - 1n) << 1n;
}

/** Backwards until nothing changes. */
function wantedAtStart(
  { instructions }: FunctionSpec,
  effects: readonly { readonly reads: bigint; readonly writes: bigint }[],
): bigint {
  const wanted = instructions.map(() => 0n);
  for (let changed = true; changed;) {
    changed = false;
    for (let at = instructions.length - 1; at >= 0; at--) {
      const instruction = instructions[at];
      const effect = effects[at];
      if (instruction === undefined || effect === undefined) continue;
      const target = targetOf(instruction);
      const next = fallsThrough(instruction) ? (wanted[at + 1] ?? 0n) : 0n;
      const after = next | (target === undefined ? 0n : (wanted[target] ?? 0n));
      const before = effect.reads | (after & ~effect.writes);
      if (before !== wanted[at]) {
        wanted[at] = before;
        changed = true;
      }
    }
  }
  return wanted[0] ?? 0n;
}

export function fallsThrough({ kind }: Instruction): boolean {
  return kind !== "exit" && kind !== "jump";
}
