/**
 * A packet that looks at one locked value has its effect at one moment: while it holds
 * the lock. One that looks at two has two moments, and another packet may stand between
 * them; no order of whole packets need explain that. So each way through a program may
 * pass at most one look-up of the objects that are observed.
 *
 * Additions whose sum nobody looks at have no moment: they change places with anything.
 */
import { targetOf, type FunctionSpec } from "../../../isa/index.ts";
import { fallsThrough } from "../patch/arguments-read.ts";
import type { Code } from "../patch/code.ts";
import { sitesOf } from "./value-accesses.ts";

export interface SecondMoment {
  readonly fn: FunctionSpec;
  readonly at: number;
  /** Whose value is looked up second. */
  readonly object: string;
}

/** The second look-up of a way, if some way has two. */
export function secondMoment(
  code: Code,
  observed: readonly string[],
): SecondMoment | undefined {
  const objects = new Map(
    code.functions.map((fn) => [
      fn.name,
      new Map(
        observed.flatMap((object) =>
          [...sitesOf(fn, object)].map((at) => [at, object] as const),
        ),
      ),
    ]),
  );
  /** By function: an object that it looks up on some way; false: being looked at. */
  const looks = new Map<string, string | false | undefined>();
  let found: SecondMoment | undefined;
  const visit = (fn: FunctionSpec): string | undefined => {
    const known = looks.get(fn.name);
    if (looks.has(fn.name)) return known === false ? undefined : known;
    looks.set(fn.name, false);
    const own = objects.get(fn.name);
    const weights = fn.instructions.map((instruction, at) => {
      const site = own?.get(at);
      if (site !== undefined) return { object: site, isMany: false };
      const name =
        instruction.kind === "call" && instruction.callee.kind === "function"
          ? instruction.callee.name
          : instruction.kind === "load-wide" &&
              instruction.value.kind === "function"
            ? instruction.value.name
            : undefined;
      const callee = code.functions.find((each) => each.name === name);
      const object = callee === undefined ? undefined : visit(callee);
      // Who calls back may do so several times.
      return object === undefined
        ? undefined
        : { object, isMany: instruction.kind === "load-wide" };
    });
    const second = secondOn(fn, weights);
    const object = weights[second ?? -1]?.object;
    if (second !== undefined && object !== undefined)
      found ??= { fn, at: second, object };
    const first = weights.find((weight) => weight !== undefined)?.object;
    looks.set(fn.name, first);
    return first;
  };
  for (const fn of code.functions) visit(fn);
  return found;
}

interface Weight {
  readonly object: string;
  readonly isMany: boolean;
}

/** An instruction that has a weight and may come behind another one, or itself. */
function secondOn(
  { instructions }: FunctionSpec,
  weights: readonly (Weight | undefined)[],
): number | undefined {
  const many = weights.findIndex((weight) => weight?.isMany === true);
  if (many >= 0) return many;
  const passed = instructions.map(() => false);
  const work = weights.flatMap((weight, at) =>
    weight === undefined ? [] : [at],
  );
  while (work.length > 0) {
    const at = work.pop() ?? 0;
    const instruction = instructions[at];
    if (instruction === undefined) continue;
    const target = targetOf(instruction);
    for (const to of [
      ...(fallsThrough(instruction) ? [at + 1] : []),
      ...(target === undefined ? [] : [target]),
    ]) {
      if (passed[to] === true) continue;
      passed[to] = true;
      work.push(to);
    }
  }
  const second = weights.findIndex(
    (weight, at) => weight !== undefined && passed[at] === true,
  );
  return second < 0 ? undefined : second;
}
