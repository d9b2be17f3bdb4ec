/**
 * Candidates for a plan: one way per family each. The first is what everybody
 * prefers; others where the NIC cannot serve all of its sharded families at once,
 * and where something is guarded, what else could be.
 */
import type { Choice } from "./attempt.ts";
import type { StrategyName } from "./plan.ts";
import type { Unit, Way } from "./ways.ts";

export const guards: readonly StrategyName[] = ["lock", "transaction"];

export const isGuarded = (choices: readonly Choice[]): boolean =>
  choices.some(({ way }) => guards.includes(way.strategy));

export const isTransaction = (choices: readonly Choice[]): boolean =>
  choices.some(({ way }) => way.strategy === "transaction");

/** The first way of each; undefined: some family has none. */
export function preferred(
  units: readonly Unit[],
): readonly Choice[] | undefined {
  const choices = units.flatMap((unit) => {
    const [way] = unit.ways;
    return way === undefined ? [] : [{ unit, way }];
  });
  return choices.length === units.length ? choices : undefined;
}

/** Fewer sharded families: one of them another way, or all of them. */
export function withFewerShards(
  first: readonly Choice[],
): readonly (readonly Choice[])[] {
  const sharded = first.filter(({ way }) => way.strategy === "shard");
  const others = (choice: Choice): readonly Way[] =>
    choice.unit.ways.filter(({ strategy }) => strategy !== "shard");
  const one = (["merge", "lock"] as const).flatMap((strategy) =>
    sharded.flatMap((choice) =>
      others(choice)
        .filter((way) => way.strategy === strategy)
        .map((way) => replaced(first, new Map([[choice, way]]))),
    ),
  );
  const all = new Map<Choice, Way>();
  for (const choice of sharded) {
    const [way] = others(choice);
    if (way !== undefined) all.set(choice, way);
  }
  return [
    ...one,
    ...(sharded.length > 1 && all.size === sharded.length
      ? [replaced(first, all)]
      : []),
  ];
}

/** The same with the other guard, and with everything guarded, as far as it fits. */
export function guardedOtherwise(
  first: readonly Choice[],
): readonly (readonly Choice[])[] {
  return guards.flatMap((strategy) => {
    const way = ({ unit }: Choice): Way | undefined =>
      unit.ways.find((one) => one.strategy === strategy);
    const these = new Map<Choice, Way>();
    const everything = new Map<Choice, Way>();
    for (const choice of first) {
      const found = way(choice);
      if (found === undefined) continue;
      if (guards.includes(choice.way.strategy)) these.set(choice, found);
      everything.set(choice, found);
    }
    return [these, everything]
      .filter(({ size }) => size > 0)
      .map((changes) => replaced(first, changes));
  });
}

function replaced(
  choices: readonly Choice[],
  changes: ReadonlyMap<Choice, Way>,
): readonly Choice[] {
  return choices.map((choice) => {
    const way = changes.get(choice);
    return way === undefined ? choice : { ...choice, way };
  });
}

/** Equal for candidates that do the same. */
export const candidateName = (choices: readonly Choice[]): string =>
  choices.map(({ way }) => way.strategy).join();
