/**
 * Functions of the program that are called by address.
 *
 *   callAny  (address, five arguments) → r0; faults on what is no function
 *   callback (address), exported: the same with arguments and result in cells, for
 *            helpers of the engine that call back
 *
 * An address is a number above all memory, so that it is never read through.
 */
import { Code, i32, i64, op, type FunctionBody } from "./encoder.ts";
import { faultNumber, type ProgramContext } from "./program-context.ts";

/** Memory has 65535 pages at most. */
const firstAddress = 0xffff_0000;

/** What a register holds that names the function. */
export function functionAddress(index: number): number {
  return firstAddress + 8 * index;
}

export function writeCallAny(about: ProgramContext): FunctionBody {
  const code = new Code();
  for (const index of about.callbacks) {
    if (about.reentered.has(index)) continue;
    code.get(0).i64Const(functionAddress(index)).byte(op.i64Eq).if();
    for (let argument = 1; argument <= 5; argument++) code.get(argument);
    code
      .callByName(about.own(`f${index}`))
      .byte(op.return)
      .end();
  }
  code.i32Const(0).memory(op.i32Load, about.layout.cell.site);
  code.i32Const(faultNumber.callback).callByName("fault");
  code.byte(op.unreachable);
  return {
    type: { parameters: [i64, i64, i64, i64, i64, i64], results: [i64] },
    locals: [],
    code,
  };
}

export function writeCallback(
  { layout }: ProgramContext,
  attempts: boolean,
): FunctionBody {
  const { cell } = layout;
  const code = new Code();
  const call = (name: string): void => {
    code.i32Const(0).get(0).byte(op.i64ExtendI32U);
    for (let argument = 0; argument < 5; argument++)
      code.i32Const(0).memory(op.i64Load, cell.args + 8 * argument);
    code.callByName(name).memory(op.i64Store, cell.result);
  };
  if (attempts) {
    // Tokens and optimistic runs have odd modes (guard-loop.ts).
    code.i32Const(0).memory(op.i32Load, cell.guard);
    code.i32Const(1).byte(op.i32And).if();
    call("callAny~");
    code.byte(op.return).end();
  }
  call("callAny");
  return { type: { parameters: [i32], results: [] }, locals: [], code };
}
