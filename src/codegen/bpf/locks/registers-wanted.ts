/** Registers whose values are read later, in front of each instruction of a function. */
import {
  helperByNumber,
  targetOf,
  type FunctionSpec,
  type Instruction,
  type Register,
} from "../../../isa/index.ts";
import { MachineLiveness, registerBit } from "../lower/machine-liveness.ts";
import { fallsThrough } from "../patch/arguments-read.ts";

const liveness = new MachineLiveness([]);
const all: readonly Register[] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9];

export class RegistersWanted {
  readonly #wanted: readonly bigint[];

  constructor({ instructions }: FunctionSpec) {
    const wanted = instructions.map(() => 0n);
    for (let changed = true; changed;) {
      changed = false;
      for (let at = instructions.length - 1; at >= 0; at--) {
        const instruction = instructions[at];
        if (instruction === undefined) continue;
        const target = targetOf(instruction);
        let after = fallsThrough(instruction) ? (wanted[at + 1] ?? 0n) : 0n;
        if (target !== undefined) after |= wanted[target] ?? 0n;
        const { reads, writes } = effectOf(instruction);
        const before = reads | (after & ~writes);
        if (before === wanted[at]) continue;
        wanted[at] = before;
        changed = true;
      }
    }
    this.#wanted = wanted;
  }

  before(at: number): ReadonlySet<Register> {
    const set = this.#wanted[at] ?? 0n;
    return new Set(all.filter((each) => (set & registerBit(each)) !== 0n));
  }
}

function effectOf(instruction: Instruction): {
  readonly reads: bigint;
  readonly writes: bigint;
} {
  const { reads, writes } = liveness.effect(instruction, 0);
  if (instruction.kind === "exit")
    return { reads: reads | registerBit(0), writes };
  if (instruction.kind !== "call") return { reads, writes };
  const { callee } = instruction;
  const count =
    callee.kind === "helper"
      ? (helperByNumber(callee.helper)?.args?.length ?? 5)
      : 5;
  return {
    reads: reads | (((1n << BigInt(count)) - 1n) << 1n),
    writes: writes | 0b11_1111n,
  };
}
