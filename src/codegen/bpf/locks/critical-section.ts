/**
 * Where a function must hold the lock of a value: from its first access to its last, on
 * every path, without a call between.
 *
 * By instruction: `begun`, some path here has passed an access; `ahead`, some path from
 * here will. The lock is held where both are true. It is taken in front of an access
 * that nothing begins before, and given back behind an access, or where a jump leads,
 * that nothing is ahead of. A place that is reached both with and without it is no
 * place for one lock: there it is given back on the jump that holds it.
 */
import { targetOf, type FunctionSpec } from "../../../isa/index.ts";
import { fallsThrough } from "../patch/arguments-read.ts";
import type { ValueAccess } from "./value-accesses.ts";

export interface CriticalSection {
  readonly site: number;
  /** In front of these accesses the lock is taken. */
  readonly takes: readonly ValueAccess[];
  /** Where it is given back. */
  readonly gives: readonly Give[];
  /** In front of which instructions it is held. */
  readonly held: readonly boolean[];
}

export type Give =
  /** In front of that instruction, on every way or coming from above. */
  | { readonly at: number; readonly reach: "every-path" | "fall-through" }
  /** On the jump to that instruction. */
  | { readonly at: number; readonly reach: "jump"; readonly from: number };

export type LockCode =
  | "R-lock-helper"
  | "R-lock-two"
  | "R-lock-shape"
  | "R-lock-pointer"
  | "R-lock-type"
  | "R-lock-clock";

/** Why not, with the instruction. */
export interface NoLock {
  readonly code: LockCode;
  readonly at: number;
  readonly text: string;
}

export function criticalSection(
  fn: FunctionSpec,
  site: number,
  accesses: readonly ValueAccess[],
): CriticalSection | NoLock {
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
  const gives: Give[] = [];
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
    if (ending.length === edges.length) {
      gives.push({ at, reach: "every-path" });
      continue;
    }
    for (const { from } of ending) {
      const isJump = targetOf(instructions[from] ?? { kind: "exit" }) === at;
      gives.push(
        isJump ? { at, reach: "jump", from } : { at, reach: "fall-through" },
      );
    }
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
