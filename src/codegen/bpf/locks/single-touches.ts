/**
 * Is every value touched by one instruction on each way, as far as anybody can tell?
 *
 * Additions whose sum nobody reads are not told apart from one another. What is read is
 * read once, and whoever reads a value does nothing else to bytes that are read: then the
 * one instruction is the moment at which the packet has its effect on the value.
 */
import { targetOf, type FunctionSpec } from "../../../isa/index.ts";
import { fallsThrough } from "../patch/arguments-read.ts";
import type { ValueAccess } from "./value-accesses.ts";

export interface Touched {
  readonly fn: FunctionSpec;
  readonly accesses: readonly ValueAccess[];
  /** Loads that became part of an addition. */
  readonly ends: ReadonlySet<number>;
  /** All of the function's stores are additions. */
  readonly isAdded: boolean;
}

export interface Whole {
  /** Does somebody look at what others changed? */
  readonly isObserved: boolean;
  /** Something is put there that is no sum. */
  readonly hasStores: boolean;
}

/** Undefined: some value is touched more than once. */
export function isWhole(parts: readonly Touched[]): Whole | undefined {
  const touches = parts.flatMap((part) =>
    part.accesses
      .filter(({ at }) => !part.ends.has(at))
      .map((access) => ({ part, access, kind: kindOf(part, access) })),
  );
  const changes = touches.filter(({ kind }) => kind !== "look");
  const looks = touches.filter(
    ({ kind, access }) =>
      kind === "both" ||
      (kind === "look" && changes.some((each) => meet(each.access, access))),
  );
  // Additions change places with one another, with a look or a store they do not.
  const ordered = [...looks, ...changes.filter(({ kind }) => kind === "store")];
  const sensitive = touches.filter(
    (one) =>
      ordered.includes(one) ||
      (one.kind !== "look" &&
        ordered.some((each) => meet(each.access, one.access))),
  );
  for (const one of sensitive) {
    const { part, access } = one;
    const isAlone = sensitive.every(
      (other) =>
        other === one ||
        other.part !== part ||
        other.access.site !== access.site,
    );
    if (!isAlone || isRepeated(part.fn, access)) return undefined;
    if (access.offset % access.size !== 0) return undefined;
  }
  return {
    isObserved: sensitive.length > 0,
    hasStores: changes.some(({ kind }) => kind === "store"),
  };
}

type Kind = "look" | "add" | "store" | "both";

function kindOf({ fn, isAdded }: Touched, { at, op }: ValueAccess): Kind {
  if (op === "load") return "look";
  const instruction = fn.instructions[at];
  if (instruction?.kind === "atomic")
    return instruction.fetch || instruction.op !== "add" ? "both" : "add";
  return op === "store" && isAdded ? "add" : "store";
}

function meet(one: ValueAccess, other: ValueAccess): boolean {
  return (
    other.offset < one.offset + one.size &&
    one.offset < other.offset + other.size
  );
}

/** May the access be made again without a look-up in between? */
function isRepeated(
  { instructions }: FunctionSpec,
  { at, site }: ValueAccess,
): boolean {
  const seen = new Set<number>();
  const work = [at];
  for (let from = work.pop(); from !== undefined; from = work.pop()) {
    const instruction = instructions[from];
    if (instruction === undefined) continue;
    const target = targetOf(instruction);
    for (const to of [
      ...(fallsThrough(instruction) ? [from + 1] : []),
      ...(target === undefined ? [] : [target]),
    ]) {
      if (to === at) return true;
      if (to === site || seen.has(to)) continue;
      seen.add(to);
      work.push(to);
    }
  }
  return false;
}
