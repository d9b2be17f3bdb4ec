/**
 * Loads from the cells of a chain in guarded code; ageing.ts says why.
 *
 *   an attempt   `last` of a cell but the head: only if last <= now <= last + expiry;
 *                a link leaves; `previous` against the mark of free cells is none
 *   exclusive    a link outside the chain's own functions: the list is put right first
 */
import type { FunctionSpec, Instruction } from "../../isa/index.ts";
import { local, type Access } from "./access.ts";
import { chainCell, pushNow } from "./ageing.ts";
import { op, type Code } from "./encoder.ts";
import type { Fact } from "./facts.ts";
import type { ChainLayout } from "./guard-layout.ts";
import type { ProgramContext } from "./program-context.ts";

export interface ChainLoad {
  readonly load: Pick<Access, "base" | "offset" | "size">;
  readonly fact: Fact;
  readonly fn: FunctionSpec;
  readonly index: number;
  /** Leaves the value. */
  readonly plain: () => void;
  readonly pushBase: () => void;
}

/** Leaves the value; of another map's, just that. */
export function writeChainLoad(
  code: Code,
  about: ProgramContext,
  access: ChainLoad,
): void {
  const { fact, load, fn, index, plain } = access;
  const { guard } = about;
  const chain =
    fact.kind === "value" && fact.set === undefined
      ? guard?.chainOf(fact.map)
      : undefined;
  if (guard === undefined || chain === undefined || fact.kind !== "value")
    return plain();
  const at = fact.offset === undefined ? undefined : fact.offset + load.offset;
  if (at !== undefined && at >= chainCell.size) return plain();
  const isMark =
    at === chainCell.previous &&
    load.size === 4 &&
    comparesWithMark(fn.instructions[index + 1]);
  if (isMark) return plain();
  const isLast = at === chainCell.last && load.size === 8;
  if (guard.attempts) {
    if (isLast) return writeLast(code, about, chain, access);
    guard.leave(code);
    return plain();
  }
  const own = [chain.allocate, chain.refresh, chain.free];
  const isOwn = own.includes(about.functionNumber(fn.name));
  if (!isLast && !isOwn) code.callByName(`settle:${chain.map}`);
  plain();
}

function writeLast(
  code: Code,
  about: ProgramContext,
  chain: ChainLayout,
  { fact, plain, pushBase }: ChainLoad,
): void {
  const { guard, layout } = about;
  if (guard === undefined || fact.kind !== "value") return;
  const last = local.wide;
  plain();
  code.set(last);
  pushBase();
  code.i64Const(layout.maps[chain.map]?.values ?? 0);
  code
    .i64Const(fact.offset ?? 0)
    .ops(op.i64Add, op.i64Ne)
    .if();
  if (guard.layout.mutant === "any-age") {
    pushNow(code, layout);
    code.set(last);
  } else {
    code.get(last);
    pushNow(code, layout);
    code.byte(op.i64GtU);
    code.get(last).i64Const(chain.expiry).byte(op.i64Add);
    pushNow(code, layout);
    code.ops(op.i64LtU, op.i32Or).if();
    guard.leave(code);
    code.end();
  }
  code.end().get(last);
}

function comparesWithMark(next: Instruction | undefined): boolean {
  if (next?.kind !== "branch") return false;
  const { right } = next;
  const isMark =
    right.kind === "immediate" &&
    BigInt.asUintN(32, BigInt(right.value)) === 0xffff_ffffn;
  return isMark && (next.op === "jeq" || next.op === "jne");
}
