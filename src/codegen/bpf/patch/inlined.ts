/**
 * Small functions in place of their calls. On CPUs whose returns go through a thunk a
 * call costs as much as a dozen cells looked up (docs/decisions/0012).
 *
 *   call function refresh   →   *(u64 *)(r10 - 80) = r6       what the function writes
 *                               its code; r10 - 8 is now      and the caller wants behind
 *                               r10 - 96, an exit a jump
 *                               r6 = *(u64 *)(r10 - 80)
 *
 * Registers fare as with the call: r0 is the answer, r1 to r5 are gone, r6 to r9 stay.
 * Only what is wanted is saved: the others may never have been written, which the
 * verifier does not let anybody store.
 *
 * A function is taken whole or its call stays: static, without calls of functions, of at
 * most `longest` instructions, with plain uses of its frame, and with room in the
 * caller's. Call sites of one caller share the room; they are never in use together.
 */
import {
  editFunction,
  local,
  targetOf,
  withTarget,
  type Edit,
  type FunctionSpec,
  type Instruction,
  type Register,
} from "../../../isa/index.ts";
import { MachineLiveness, registerBit } from "../lower/machine-liveness.ts";
import { fallsThrough } from "./arguments-read.ts";
import { assembled } from "./assembled.ts";
import { withFunctions, type Code } from "./code.ts";
import { frameDepth } from "./frame.ts";

const longest = 128;
const frame = 512;
const kept: readonly Register[] = [6, 7, 8, 9];
const liveness = new MachineLiveness([]);

/** Calls in `callers` of those of `callees` that can be taken in. */
export function withInlined<T extends Code>(
  code: T,
  callers: ReadonlySet<string>,
  callees: ReadonlySet<string>,
): T {
  const small = new Map(
    code.functions
      .filter((fn) => callees.has(fn.name) && !callers.has(fn.name))
      .filter(isSmall)
      .map((fn) => [fn.name, fn]),
  );
  const before = namedIn(code);
  const whole = withFunctions(
    code,
    code.functions
      .filter(({ name }) => callers.has(name))
      .map((fn) => withTakenIn(fn, small)),
  );
  // What nobody can reach the kernel rejects.
  const after = namedIn(whole);
  const isGone = ({ name }: FunctionSpec): boolean =>
    small.has(name) && before.has(name) && !after.has(name);
  return { ...whole, functions: whole.functions.filter((fn) => !isGone(fn)) };
}

/** Functions that are called, or whose address is taken. */
function namedIn({ functions }: Code): ReadonlySet<string> {
  return new Set(
    functions.flatMap(({ instructions }) =>
      instructions.flatMap((instruction) => {
        if (instruction.kind === "call")
          return instruction.callee.kind === "function"
            ? [instruction.callee.name]
            : [];
        return instruction.kind === "load-wide" &&
          instruction.value.kind === "function"
          ? [instruction.value.name]
          : [];
      }),
    ),
  );
}

function withTakenIn(
  fn: FunctionSpec,
  small: ReadonlyMap<string, FunctionSpec>,
): FunctionSpec {
  const wanted = wantedBehind(fn);
  const depth = up(frameDepth(fn));
  const edits = fn.instructions.flatMap((instruction, at): Edit[] => {
    const callee =
      instruction.kind === "call" && instruction.callee.kind === "function"
        ? small.get(instruction.callee.name)
        : undefined;
    if (callee === undefined) return [];
    const written = writtenBy(callee) & (wanted[at] ?? 0n);
    const saved = kept.filter(
      (register) => (written & registerBit(register)) !== 0n,
    );
    const start = depth + 8 * saved.length;
    if (start + up(frameDepth(callee)) > frame) return [];
    const slots = saved.map(
      (register, index) => [register, -(depth + 8 * (index + 1))] as const,
    );
    const save = slots.map(([r, slot]) => `*(u64 *)(r10 + ${slot}) = r${r}`);
    const restore = slots.map(([r, slot]) => `r${r} = *(u64 *)(r10 + ${slot})`);
    const body = bodyOf(callee, -start);
    const behind = assembled(restore.join("\n"));
    const before = assembled(save.join("\n"));
    return [
      {
        kind: "replace",
        at,
        instructions: [
          ...before,
          ...body.map((inner) => moved(inner, before.length)),
          ...behind,
        ],
      },
    ];
  });
  return edits.length === 0 ? fn : editFunction(fn, edits);
}

/** The function's code, its frame `shift` lower, and its exits jumps behind it. */
function bodyOf(fn: FunctionSpec, shift: number): readonly Instruction[] {
  const edits = fn.instructions.flatMap((instruction, at): Edit[] =>
    isFrameCopy(instruction)
      ? [
          {
            kind: "insert",
            at: at + 1,
            instructions: assembled(`r${instruction.dst} += ${shift}`),
            reach: "fall-through",
          },
        ]
      : [],
  );
  const { instructions } = editFunction(fn, edits);
  const end = instructions.length;
  return instructions.map((instruction): Instruction => {
    if (instruction.kind === "exit")
      return { kind: "jump", target: end, long: false };
    if ("base" in instruction && instruction.base === 10)
      return { ...instruction, offset: instruction.offset + shift };
    return instruction;
  });
}

/** Its target as code that is inserted has it, `by` instructions further on. */
function moved(instruction: Instruction, by: number): Instruction {
  const target = targetOf(instruction);
  return target === undefined
    ? instruction
    : withTarget(instruction, local(target + by));
}

function isSmall(fn: FunctionSpec): boolean {
  const { instructions, linkage } = fn;
  return (
    linkage === "static" &&
    instructions.length <= longest &&
    fn.coreRelocations.length === 0 &&
    instructions.every(
      (instruction) =>
        isFrameCopy(instruction) ||
        (isPlain(instruction) && !usesFrameAddress(instruction)),
    )
  );
}

/** Calls of helpers, and what neither calls nor wants the packet's own registers. */
function isPlain(instruction: Instruction): boolean {
  const { kind } = instruction;
  if (kind === "call") return instruction.callee.kind === "helper";
  if (kind === "load-wide") return instruction.value.kind !== "function";
  return (
    kind !== "call-register" && kind !== "load-packet" && kind !== "may-goto"
  );
}

function isFrameCopy(
  instruction: Instruction,
): instruction is Instruction & { readonly kind: "alu" } {
  return (
    instruction.kind === "alu" &&
    instruction.op === "mov" &&
    instruction.width === 64 &&
    instruction.src.kind === "register" &&
    instruction.src.register === 10
  );
}

/** r10 other than as a base. */
function usesFrameAddress(instruction: Instruction): boolean {
  const operands = ["src", "right"].map(
    (name) => (instruction as unknown as Record<string, unknown>)[name],
  );
  return operands.some(
    (operand) =>
      operand === 10 ||
      (typeof operand === "object" &&
        operand !== null &&
        "register" in operand &&
        operand.register === 10),
  );
}

function writtenBy({ instructions }: FunctionSpec): bigint {
  return instructions.reduce(
    (all, instruction) => all | liveness.effect(instruction).writes,
    0n,
  );
}

/** Behind each instruction, the registers that are read before they are written. */
function wantedBehind({ instructions }: FunctionSpec): readonly bigint[] {
  const before = instructions.map(() => 0n);
  const behind = instructions.map(() => 0n);
  for (let isNew = true; isNew;) {
    isNew = false;
    for (let at = instructions.length - 1; at >= 0; at--) {
      const instruction = instructions[at];
      if (instruction === undefined) continue;
      const target = targetOf(instruction);
      const after =
        (target === undefined ? 0n : (before[target] ?? 0n)) |
        (fallsThrough(instruction) ? (before[at + 1] ?? 0n) : 0n);
      const { reads, writes } = liveness.effect(instruction);
      const now = reads | (after & ~writes);
      isNew ||= now !== before[at];
      before[at] = now;
      behind[at] = after;
    }
  }
  return behind;
}

function up(bytes: number): number {
  return Math.ceil(bytes / 8) * 8;
}
