/**
 * Refreshing a field of a value without being a writer, as ageing.ts has it for chains:
 * in an attempt a store of this moment becomes a stamp, made when the attempt commits,
 * and a load must lie between now - expiry and now. There is no list, so nothing is to
 * be put in order.
 */
import type { Register } from "../../isa/index.ts";
import type { Access, AccessWriter, Address } from "./access.ts";
import { pushNow, writeStamp } from "./ageing.ts";
import { local } from "./access.ts";
import { op, type Code } from "./encoder.ts";
import type { Fact } from "./facts.ts";
import type { Guard } from "./guard.ts";
import type { FieldLayout } from "./guard-layout.ts";
import type { ProgramContext } from "./program-context.ts";

/** The field that an access is of. */
export function fieldOf(
  guard: Guard | undefined,
  fact: Fact,
  { offset, size }: Pick<Access, "offset" | "size">,
): FieldLayout | undefined {
  if (guard?.attempts !== true || size !== 8) return undefined;
  if (fact.kind !== "value" || fact.set !== undefined) return undefined;
  if (fact.offset === undefined) return undefined;
  return guard.fieldAt(fact.map, fact.offset + offset);
}

/** In place of the store. */
export function writeFieldStore(
  code: Code,
  about: ProgramContext,
  access: AccessWriter,
  store: { readonly address: Address; readonly src: Register },
): void {
  const { guard, layout } = about;
  if (guard === undefined) return;
  const { address, src } = store;
  access.pushRegister(src);
  pushNow(code, layout);
  code.byte(op.i64Ne);
  address.push();
  code.memory(op.i64Load, address.offset);
  pushNow(code, layout);
  code.ops(op.i64GtU, op.i32Or).if();
  guard.leave(code);
  code.end();
  writeStamp(code, layout, guard, () => {
    address.push();
    if (address.offset !== 0) code.i32Const(address.offset).byte(op.i32Add);
  });
}

/** Behind the load: leaves the value. */
export function writeFieldLoad(
  code: Code,
  about: ProgramContext,
  { expiry }: FieldLayout,
): void {
  const { guard, layout } = about;
  if (guard === undefined) return;
  const last = local.wide;
  code.tee(last);
  pushNow(code, layout);
  code.byte(op.i64GtU).get(last).i64Const(expiry).byte(op.i64Add);
  pushNow(code, layout);
  code.ops(op.i64LtU, op.i32Or).if();
  guard.leave(code);
  code.end().get(last);
}
