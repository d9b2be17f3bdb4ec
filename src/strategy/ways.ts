/**
 * What could be done with each family of objects: the strategies that fit it, in
 * the order in which they are preferred (strategies.ts), and why others do not.
 */
import type { StateObject } from "../analysis/index.ts";
import type { Context } from "./context.ts";
import type { Family } from "./families.ts";
import {
  grades,
  type Grade,
  type ObjectPart,
  type Rejected,
  type StrategyName,
} from "./plan.ts";
import { refuse, type Refusal } from "./refusal.ts";
import { preference, strategies } from "./strategies.ts";

/** One strategy for all members of a family. */
export interface Way {
  readonly strategy: StrategyName;
  readonly parts: readonly ObjectPart[];
}

export interface Unit {
  readonly family: Family;
  readonly ways: readonly Way[];
  /** Why other strategies do not fit, or are too weak. */
  readonly refusals: readonly Refusal[];
  readonly rejected: readonly Rejected[];
  /** The user chose; nothing else is tried. */
  readonly isForced: boolean;
}

/** For all objects that need a strategy, or per object. */
export type Force = StrategyName | Readonly<Record<string, StrategyName>>;

export interface Wishes {
  readonly force?: Force;
  /** The weakest grade that is accepted. */
  readonly grade?: Grade;
  /** What may stand around a packet's run, where nothing is forced. */
  readonly guards?: readonly StrategyName[];
}

export function unitsOf(
  families: readonly Family[],
  context: Context,
  wishes: Wishes,
): readonly Unit[] {
  return families.map((family) => unitOf(family, context, wishes));
}

function unitOf(family: Family, context: Context, wishes: Wishes): Unit {
  const refusals: Refusal[] = [];
  const rejected: Rejected[] = [];
  const forced = forcedFor(family, context, wishes);
  const ways: Way[] = [];
  const tried = forced === undefined ? preferredOf(wishes) : [forced];
  for (const strategy of tried) {
    const answer = wayOf(strategy, family, context);
    if ("kind" in answer) {
      // That what is written cannot be copied goes without saying.
      if (answer.code !== "R-written" || forced !== undefined)
        refusals.push(answer, ...followers(answer, family));
    } else if (isAccepted(answer, wishes)) ways.push(answer);
    else
      rejected.push({
        strategy,
        object: family.head.name,
        reason: `grade ${gradeOf(answer)} is weaker than ${wishes.grade}`,
      });
    // What needs no owner needs nothing else.
    if (strategy === "copy" && ways.length > 0) break;
  }
  return { family, ways, refusals, rejected, isForced: forced !== undefined };
}

/** Of what is preferred to the way that was taken: without one, all of it. */
export function before<T extends { readonly strategy: string }>(
  all: readonly T[],
  taken: Way | undefined,
): readonly T[] {
  if (taken === undefined) return all;
  const places: readonly string[] = preference;
  const place = places.indexOf(taken.strategy);
  return place < 0
    ? all
    : all.filter(({ strategy }) => places.indexOf(strategy) < place);
}

function preferredOf({ guards = [] }: Wishes): readonly StrategyName[] {
  return preference.filter(
    (name) =>
      (name !== "lock" && name !== "transaction") || guards.includes(name),
  );
}

function wayOf(
  strategy: StrategyName,
  { members }: Family,
  context: Context,
): Way | Refusal {
  const parts: ObjectPart[] = [];
  for (const member of members) {
    const answer = strategies[strategy](member, context);
    if (answer.kind === "refusal") return answer;
    parts.push(answer);
  }
  return { strategy, parts };
}

/** Other members go the way of the one that was refused. */
function followers(refusal: Refusal, { members }: Family): readonly Refusal[] {
  if (refusal.strategy !== "shard") return [];
  return members
    .filter(({ name }) => name !== refusal.object)
    .map(({ name }) =>
      refuse("R-family", {
        object: name,
        strategy: "shard",
        text: `${name} goes with ${refusal.object}: one numbers the cells of the other`,
        ...(refusal.at === undefined ? {} : { at: refusal.at }),
        obligation: `${refusal.object} can be sharded`,
        slice: refusal.slice,
        edit: refusal.edit,
      }),
    );
}

function forcedFor(
  { members, head }: Family,
  context: Context,
  { force }: Wishes,
): StrategyName | undefined {
  if (force === undefined) return undefined;
  if (typeof force !== "string") {
    const named = members.find(({ name }) => Object.hasOwn(force, name));
    return named === undefined ? undefined : force[named.name];
  }
  return needsNone(head, context) && force !== "sequential" ? undefined : force;
}

const needsNone = (object: StateObject, context: Context): boolean =>
  strategies.copy(object, context).kind === "part";

function gradeOf({ parts }: Way): Grade {
  const found = parts.map(({ grade }) => grades.indexOf(grade));
  return grades[Math.max(0, ...found)] ?? "exact";
}

function isAccepted(way: Way, { grade = "partitioned" }: Wishes): boolean {
  return grades.indexOf(gradeOf(way)) <= grades.indexOf(grade);
}
