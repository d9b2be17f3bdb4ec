/**
 * What the packet loop does before and behind the program, for one packet whose
 * descriptor's address is in a local: fills the context of an XDP program, sets what
 * bounds a run, writes verdict and the packet's place back.
 */
import { global } from "./budget.ts";
import { xdpContext } from "./context-layout.ts";
import { op, type Code } from "./encoder.ts";
import { descriptor } from "./layout.ts";
import type { ProgramContext } from "./program-context.ts";

/** Iterations after which may_goto jumps (kernel: BPF_MAX_LOOPS). */
const mayGotoLimit = 1 << 23;
const tailCallLimit = 33;

export function writeStart(
  code: Code,
  { context, program, layout }: ProgramContext,
  at: number,
  budget: number,
): void {
  const { cell } = layout;
  const zero = (): Code => code.i32Const(0);
  const copy = (from: number, to: number): void => {
    zero().get(at).memory(op.i32Load, from);
    code.memory(op.i32Store, to);
  };
  zero().get(at).memory(op.i32Store, cell.current);
  // Other contexts are large; the engine fills them, one packet a batch.
  if (program.type === "xdp") {
    copy(descriptor.data, context.data);
    copy(descriptor.data, context.dataMeta);
    zero().get(at).memory(op.i32Load, descriptor.data);
    code.get(at).memory(op.i32Load, descriptor.length).byte(op.i32Add);
    code.memory(op.i32Store, context.dataEnd);
    copy(descriptor.ifindex, cell.context + xdpContext.ifindex);
    copy(descriptor.rxQueue, cell.context + xdpContext.rxQueue);
  }
  zero().i32Const(tailCallLimit).memory(op.i32Store, cell.tailCalls);
  code.i32Const(budget).globalSet(global.budget);
  code.i32Const(mayGotoLimit).globalSet(global.mayGoto);
}

/** Leaves r0 of the function on the stack. */
export function writeEntry(
  code: Code,
  { layout }: ProgramContext,
  name: string,
): void {
  code.i64Const(layout.cell.context);
  for (let unused = 2; unused <= 5; unused++) code.i64Const(0);
  code.callByName(name);
}

export function writePlace(
  code: Code,
  { context }: ProgramContext,
  at: number,
): void {
  for (const [pointer, to] of [
    [context.data, descriptor.outData],
    [context.dataEnd, descriptor.outEnd],
  ] as const) {
    code.get(at).i32Const(0).memory(op.i32Load, pointer);
    code.memory(op.i32Store, to);
  }
}
