/**
 * Where a function must hold the lock of a value: from its first access to its last, on
 * every path, without a call between.
 *
 * By instruction: `begun`, some path here has passed an access; `ahead`, some path from
 * here will. The lock is held where both are true. It is taken in front of an access
 * that nothing begins before, and given back behind an access, or where a jump leads,
 * that nothing is ahead of. A place that is reached both with and without it is no
 * place for one lock: that is refused, not guessed.
 */
import { targetOf, type FunctionSpec } from "../../../isa/index.ts";
import { fallsThrough } from "../patch/arguments-read.ts";
import type { ValueAccess } from "./value-accesses.ts";

export interface CriticalSection {
  readonly site: number;
  /** In front of these accesses the lock is taken. */
  readonly takes: readonly ValueAccess[];
  /** In front of these instructions it is given back. */
  readonly gives: readonly { readonly at: number; readonly reach: Reach }[];
  /** In front of which instructions it is held. */
  readonly held: readonly boolean[];
}

export type Reach = "every-path" | "fall-through";

export interface NoSection {
  readonly code: "R-lock-helper" | "R-lock-shape";
  readonly at: number;
  readonly text: string;
}

export function criticalSection(
  fn: FunctionSpec,
  site: number,
  accesses: readonly ValueAccess[],
): CriticalSection | NoSection {
  const { instructions } = fn;
  const successors = instructions.map((instruction, at) => {
    const target = targetOf(instruction);
    const next = fallsThrough(instruction) ? [at + 1] : [];
    return target === undefined ? next : [...next, target];
  });
  const own = new Set(accesses.map(({ at }) => at));
  const { begun, ahead } = flows(successors, own, site);
  const held = instructions.map(
    (_, at) => begun[at] === true && ahead[at] === true,
  );
  for (const [at, instruction] of instructions.entries())
    if (held[at] === true && instruction.kind === "call")
      return {
        code: "R-lock-helper",
        at,
        text: "a call stands between the first and the last access of a value",
      };
  const gives: { at: number; reach: Reach }[] = [];
  const open = new Map<number, { from: number; holds: boolean }[]>();
  for (const [from, targets] of successors.entries())
    for (const to of targets) {
      const isBegun = begun[from] === true || own.has(from);
      if (!isBegun && held[to] === true)
        return {
          code: "R-lock-shape",
          at: to,
          text: "a value is used here both for the first time and not",
        };
      const ends =
        isBegun &&
        ahead[to] !== true &&
        (own.has(from) || (held[from] === true && from !== site));
      open.set(to, [...(open.get(to) ?? []), { from, holds: ends }]);
    }
  for (const [at, edges] of open) {
    const ending = edges.filter(({ holds }) => holds);
    if (ending.length === 0) continue;
    const isFall =
      ending.length === 1 &&
      ending[0]?.from === at - 1 &&
      targetOf(instructions[at - 1] ?? { kind: "exit" }) !== at;
    if (ending.length === edges.length) gives.push({ at, reach: "every-path" });
    else if (isFall) gives.push({ at, reach: "fall-through" });
    else
      return {
        code: "R-lock-shape",
        at,
        text: "this is reached both with the lock of a value and without",
      };
  }
  const takes = accesses.filter(({ at }) => begun[at] !== true);
  return { site, takes, gives, held };
}

function flows(
  successors: readonly (readonly number[])[],
  own: ReadonlySet<number>,
  site: number,
): { readonly begun: readonly boolean[]; readonly ahead: readonly boolean[] } {
  const begun = successors.map(() => false);
  const ahead = successors.map((_, at) => own.has(at));
  for (let changed = true; changed;) {
    changed = false;
    for (const [at, targets] of successors.entries()) {
      const leaves = at !== site && (begun[at] === true || own.has(at));
      for (const to of targets) {
        if (leaves && begun[to] !== true) begun[to] = changed = true;
        if (at !== site && ahead[to] === true && ahead[at] !== true)
          ahead[at] = changed = true;
      }
    }
  }
  return { begun, ahead };
}
