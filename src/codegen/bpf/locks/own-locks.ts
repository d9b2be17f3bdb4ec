/**
 * Programs that bring a lock of their own in a map's values: theirs is kept, if it does
 * what ours would. Every access to what anybody changes must stand under the lock of its
 * value, and a value's lock may be taken once on each way.
 */
import { targetOf, type FunctionSpec } from "../../../isa/index.ts";
import { fallsThrough } from "../patch/arguments-read.ts";
import type { NoLock } from "./critical-section.ts";
import type { ValueAccess } from "./value-accesses.ts";

interface Held {
  /** The look-up whose value is locked; "unclear": on some way only. */
  readonly site: number | undefined | "unclear";
  /** Values whose lock was taken on some way here. */
  readonly taken: ReadonlySet<number>;
}

/** Undefined: all of it is under locks. */
export function unlockedUse(
  fn: FunctionSpec,
  accesses: readonly ValueAccess[],
  isChanged: (access: ValueAccess) => boolean,
): NoLock | undefined {
  const at = new Map(accesses.map((access) => [access.at, access]));
  const sites = new Set(accesses.map(({ site }) => site));
  const before = heldBefore(fn, at, sites);
  for (const access of accesses) {
    const here = before[access.at];
    if (here === undefined) continue;
    if (access.op === "take" && here.taken.has(access.site))
      return {
        code: "R-lock-two",
        at: access.at,
        text: "the lock of a value is taken again: what was read under it before may have changed",
      };
    if (access.op === "take" || access.op === "give" || !isChanged(access))
      continue;
    if (here.site !== access.site)
      return {
        code: "R-lock-shape",
        at: access.at,
        text: "a value that has a lock is used without it",
      };
  }
  return undefined;
}

function heldBefore(
  { instructions }: FunctionSpec,
  at: ReadonlyMap<number, ValueAccess>,
  sites: ReadonlySet<number>,
): readonly (Held | undefined)[] {
  const before: (Held | undefined)[] = instructions.map(() => undefined);
  const work: number[] = [];
  const reach = (to: number, held: Held): void => {
    const old = before[to];
    const joined: Held =
      old === undefined
        ? held
        : {
            site: old.site === held.site ? old.site : "unclear",
            taken: new Set([...old.taken, ...held.taken]),
          };
    if (
      old !== undefined &&
      old.site === joined.site &&
      old.taken.size === joined.taken.size
    )
      return;
    before[to] = joined;
    work.push(to);
  };
  reach(0, { site: undefined, taken: new Set() });
  for (let index = work.pop(); index !== undefined; index = work.pop()) {
    const instruction = instructions[index];
    const held = before[index];
    if (instruction === undefined || held === undefined) continue;
    const after = step(held, at.get(index), sites.has(index) ? index : -1);
    const target = targetOf(instruction);
    if (target !== undefined) reach(target, after);
    if (fallsThrough(instruction) && index + 1 < instructions.length)
      reach(index + 1, after);
  }
  return before;
}

function step(held: Held, access: ValueAccess | undefined, site: number): Held {
  if (site >= 0)
    return {
      ...held,
      taken: new Set([...held.taken].filter((one) => one !== site)),
    };
  if (access?.op === "take")
    return { site: access.site, taken: new Set([...held.taken, access.site]) };
  return access?.op === "give" ? { ...held, site: undefined } : held;
}
