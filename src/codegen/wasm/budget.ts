/**
 * What bounds a run: a budget that every entry into a loop head and every round of
 * bpf_loop spends one unit of, and the counter behind may_goto. Both are globals
 * that the packet loop sets anew for each packet.
 */
import { op, type Code } from "./encoder.ts";

/** Globals of the module, by index. */
export const global = { budget: 0, mayGoto: 1 } as const;

/** budget −= 1, and `whenSpent` once it is below zero. */
export function writeBudget(code: Code, whenSpent: () => void): void {
  code.globalGet(global.budget).i32Const(1).byte(op.i32Sub);
  code.globalSet(global.budget);
  code.globalGet(global.budget).i32Const(0).byte(op.i32LtS).if();
  whenSpent();
  code.end();
}

/** Taken once the time is used up; counts down otherwise. */
export function writeMayGoto(code: Code): void {
  code.globalGet(global.mayGoto).byte(op.i32Eqz);
  code.globalGet(global.mayGoto).globalGet(global.mayGoto);
  code.ops(op.i32Eqz, op.i32Eqz, op.i32Sub).globalSet(global.mayGoto);
}
