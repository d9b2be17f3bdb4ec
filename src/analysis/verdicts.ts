/**
 * Which constants can the entry function return? What the certificate expects a
 * covering run to have returned. Follows block parameters to constants; a value
 * that is no constant (a helper's result) adds what that helper returns when it
 * succeeds, or nothing. So the set may be too small, never too large by more than
 * infeasible paths.
 */
import { helperByNumber } from "../isa/index.ts";
import type { IrFunction, IrProgram, ValueId } from "../ir/index.ts";

/** Unsigned 32-bit values of r0. */
export function returnedConstants(program: IrProgram): ReadonlySet<number> {
  const found = new Set<number>();
  const [entry] = program.functions;
  if (entry === undefined) return found;
  const sources = sourcesOf(entry);
  const seen = new Set<ValueId>();
  const work: ValueId[] = [];
  for (const { terminator } of entry.blocks)
    if (terminator.kind === "return") work.push(terminator.value);
  for (let value = work.pop(); value !== undefined; value = work.pop()) {
    if (seen.has(value)) continue;
    seen.add(value);
    const source = sources.get(value);
    if (source === undefined) continue;
    if (typeof source === "bigint")
      found.add(Number(BigInt.asUintN(32, source)));
    else work.push(...source);
  }
  return found;
}

/** A constant, or the values that may flow there. */
type Source = bigint | readonly ValueId[];

const redirect = 4n;
const redirects = new Set(["redirect", "redirect_map"]);

function sourcesOf(fn: IrFunction): Map<ValueId, Source> {
  const sources = new Map<ValueId, Source>();
  const params = new Map<ValueId, ValueId[]>();
  for (const block of fn.blocks) {
    for (const instruction of block.instructions)
      if (instruction.kind === "const")
        sources.set(instruction.result, instruction.value);
      else if (
        instruction.kind === "call" &&
        instruction.callee.kind === "helper" &&
        redirects.has(helperByNumber(instruction.callee.helper)?.name ?? "")
      )
        sources.set(instruction.result, redirect);
      else if (
        instruction.kind === "unary" &&
        (instruction.op === "zext32" || instruction.op === "sext32")
      )
        sources.set(instruction.result, [instruction.value]);
    const { terminator } = block;
    const edges =
      terminator.kind === "jump"
        ? [terminator.to]
        : terminator.kind === "branch" || terminator.kind === "may-goto"
          ? [terminator.then, terminator.otherwise]
          : [];
    for (const edge of edges)
      for (const [index, param] of (
        fn.blocks[edge.block]?.params ?? []
      ).entries()) {
        const arg = edge.args[index];
        if (arg === undefined) continue;
        const list = params.get(param) ?? [];
        list.push(arg);
        params.set(param, list);
      }
  }
  for (const [param, args] of params) sources.set(param, args);
  return sources;
}
