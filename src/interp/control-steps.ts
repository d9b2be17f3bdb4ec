/**
 * Branches and calls as steps. Observers of branches and comparisons are woven in
 * when a function is compiled; without one, nothing is left of them.
 */
import { UnsupportedError, printPlace, type Place } from "../base/index.ts";
import {
  helperByNumber,
  type BranchOp,
  type Callee,
  type Width,
} from "../isa/index.ts";
import { setAnswer, type Executor } from "./code.ts";
import { helperFunctions } from "./helpers/table.ts";
import { kfuncFunctions } from "./helpers/kfuncs.ts";
import type { HelperFunction } from "./host.ts";
import { conditions, tailCalled, type Step } from "./word-steps.ts";

export interface BranchSlots {
  readonly op: BranchOp;
  readonly width: Width;
  readonly l: number;
  readonly r: number;
  readonly taken: number;
  readonly next: number;
}

export function branchStep(
  machine: Executor,
  { op, width, l, r, taken, next }: BranchSlots,
  at: () => Place,
): Step {
  const test = conditions[op][width](l, r);
  const { branch, compare } = machine.observer;
  if (branch === undefined && compare === undefined)
    return (frame) => (test(frame) ? taken : next);
  const read = (frame: DataView, slot: number): bigint =>
    width === 64
      ? frame.getBigUint64(8 * slot, true)
      : BigInt(frame.getUint32(8 * slot, true));
  return (frame) => {
    compare?.(at(), read(frame, l), read(frame, r), width);
    const yes = test(frame);
    branch?.(at(), yes);
    return yes ? taken : next;
  };
}

export interface CallSlots {
  readonly callee: Callee;
  /** Slots of r1 …, at most five. */
  readonly args: readonly number[];
  readonly result: number;
  readonly next: number;
  /** Tells the machine where it is. */
  readonly mark: () => void;
  readonly at: () => Place;
}

const tailCallHelper = 12;

export function callStep(machine: Executor, call: CallSlots): Step {
  const { callee, next, mark } = call;
  const at = 8 * call.result;
  const { view } = machine.args;
  const slots = call.args.map((slot) => 8 * slot);
  const pass = (frame: DataView): void => {
    for (let index = 0; index < slots.length; index++) {
      const from = slots[index] ?? 0;
      const to = 8 * index + 8;
      view.setUint32(to, frame.getUint32(from, true), true);
      view.setUint32(to + 4, frame.getUint32(from + 4, true), true);
    }
  };
  if (callee.kind === "function") {
    const { name } = callee;
    return (frame) => {
      pass(frame);
      const code = machine.link(name);
      const done = machine.enter(code);
      frame.setBigUint64(at, done.getBigUint64(0, true), true);
      return next;
    };
  }
  if (callee.kind === "helper" && callee.helper === tailCallHelper)
    return (frame) => {
      pass(frame);
      mark();
      machine.tail = machine.tailTarget();
      setAnswer(frame, at, 0);
      return machine.tail === undefined ? next : tailCalled;
    };
  const run = functionOf(callee);
  if (run === undefined) return () => refuse(describeCallee(callee), call.at());
  return (frame) => {
    pass(frame);
    mark();
    setAnswer(frame, at, run(machine));
    return next;
  };
}

/** For what the program does and this machine does not have. */
export function refuse(what: string, at: Place): never {
  throw new UnsupportedError(
    `${printPlace(at)}: the interpreter has no ${what}`,
    { feature: what },
  );
}

function functionOf(callee: Callee): HelperFunction | undefined {
  if (callee.kind === "kfunc") return kfuncFunctions.get(callee.name);
  if (callee.kind !== "helper") return undefined;
  const name = helperByNumber(callee.helper)?.name;
  return name === undefined ? undefined : helperFunctions.get(name);
}

function describeCallee(callee: Callee): string {
  switch (callee.kind) {
    case "helper":
      return `helper bpf_${helperByNumber(callee.helper)?.name ?? callee.helper}`;
    case "kfunc":
      return `kernel function ${callee.name}`;
    case "function":
      return `function ${callee.name}`;
    case "raw":
      return `target for an unlinked call (${callee.pseudo}, ${callee.value})`;
  }
}
