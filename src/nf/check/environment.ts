/**
 * What is known at one point of a path, and how paths meet.
 *
 * - `variables`: by symbol.
 * - `heap`: fields of untyped object literals, by the place that makes them.
 *   Updates are weak (a field keeps what it could be before), so that aliases and
 *   repeated making need no thought.
 * - `facts`: ranges that conditions gave to paths such as `flow.port`, by text of
 *   the path. Assigning a member kills every fact about a member of that name.
 * - `deaths`: when a map last may have lost an entry. A reference that is older is
 *   dead.
 */
import type { ts } from "../front/typescript-api.ts";
import {
  joinValues,
  sameValues,
  type Abstract,
  type HullOf,
} from "./abstract-value.ts";
import { hull, type Interval } from "./interval.ts";

export interface Fact {
  readonly range: Interval;
  /** The names of the members on the path. */
  readonly members: readonly string[];
  /** Does it speak of state, which operations on maps change? */
  readonly ofState: boolean;
}

export interface Environment {
  variables: Map<ts.Symbol, Abstract>;
  heap: Map<ts.Node, Map<string, Abstract>>;
  facts: Map<string, Fact>;
  deaths: Map<object, number>;
}

export function emptyEnvironment(): Environment {
  return {
    variables: new Map(),
    heap: new Map(),
    facts: new Map(),
    deaths: new Map(),
  };
}

export function copyOf(env: Environment): Environment {
  return {
    variables: new Map(env.variables),
    heap: new Map(
      [...env.heap].map(([site, fields]) => [site, new Map(fields)]),
    ),
    facts: new Map(env.facts),
    deaths: new Map(env.deaths),
  };
}

/** Makes `env` what `from` is. */
export function become(env: Environment, from: Environment): void {
  env.variables = from.variables;
  env.heap = from.heap;
  env.facts = from.facts;
  env.deaths = from.deaths;
}

export function isDead(env: Environment, value: Abstract): boolean {
  return (
    value.kind === "reference" &&
    value.map !== undefined &&
    value.born < (env.deaths.get(value.map) ?? 0)
  );
}

export function killFacts(env: Environment, member: string): void {
  for (const [path, fact] of env.facts)
    if (fact.members.includes(member)) env.facts.delete(path);
}

export function killStateFacts(env: Environment): void {
  for (const [path, fact] of env.facts)
    if (fact.ofState) env.facts.delete(path);
}

/** Where two paths meet; undefined is a path that does not exist. */
export function joinEnvironments(
  left: Environment | undefined,
  right: Environment | undefined,
  hullOf: HullOf = hull,
): Environment | undefined {
  if (left === undefined || right === undefined) return left ?? right;
  const variables = new Map<ts.Symbol, Abstract>();
  for (const [symbol, value] of left.variables) {
    const other = right.variables.get(symbol);
    if (other !== undefined)
      variables.set(symbol, joinValuesAt(left, value, right, other, hullOf));
  }
  const heap = new Map<ts.Node, Map<string, Abstract>>();
  for (const [site, fields] of left.heap) heap.set(site, new Map(fields));
  for (const [site, fields] of right.heap) {
    const known = heap.get(site);
    if (known === undefined) heap.set(site, new Map(fields));
    else
      for (const [name, value] of fields) {
        const other = known.get(name);
        known.set(
          name,
          other === undefined
            ? value
            : joinValuesAt(left, other, right, value, hullOf),
        );
      }
  }
  const facts = new Map<string, Fact>();
  for (const [path, fact] of left.facts) {
    const other = right.facts.get(path);
    if (other !== undefined)
      facts.set(path, { ...fact, range: hullOf(fact.range, other.range) });
  }
  const deaths = new Map(left.deaths);
  for (const [map, time] of right.deaths)
    deaths.set(map, Math.max(time, deaths.get(map) ?? 0));
  return { variables, heap, facts, deaths };
}

/** A dead reference stays dead; one that lives on both paths lives. */
export function joinValuesAt(
  left: Environment,
  value: Abstract,
  right: Environment,
  other: Abstract,
  hullOf: HullOf = hull,
): Abstract {
  const joined = joinValues(value, other, hullOf);
  const isAnyDead = hasDead(left, value) || hasDead(right, other);
  return isAnyDead ? asDead(joined) : asYounger(joined, value, other);
}

function hasDead(env: Environment, value: Abstract): boolean {
  return isDead(env, value.kind === "maybe" ? value.value : value);
}

function asDead(value: Abstract): Abstract {
  if (value.kind === "maybe")
    return { kind: "maybe", value: asDead(value.value) };
  return value.kind === "reference" ? { ...value, born: -1 } : value;
}

function asYounger(
  joined: Abstract,
  left: Abstract,
  right: Abstract,
): Abstract {
  if (joined.kind === "maybe")
    return { kind: "maybe", value: asYounger(joined.value, left, right) };
  if (joined.kind !== "reference") return joined;
  return { ...joined, born: Math.max(bornOf(left), bornOf(right)) };
}

function bornOf(value: Abstract): number {
  if (value.kind === "maybe") return bornOf(value.value);
  return value.kind === "reference" ? value.born : -1;
}

/** Is nothing in `next` outside of `old`? Times of birth do not count, death does. */
export function isWithin(next: Environment, old: Environment): boolean {
  for (const [symbol, value] of old.variables) {
    const other = next.variables.get(symbol);
    if (other === undefined || !isCovered(next, other, old, value))
      return false;
  }
  for (const [site, fields] of next.heap) {
    const known = old.heap.get(site);
    if (known === undefined) return false;
    for (const [name, value] of fields) {
      const other = known.get(name);
      if (other === undefined || !isCovered(next, value, old, other))
        return false;
    }
  }
  for (const [path, fact] of old.facts) {
    const other = next.facts.get(path);
    if (
      other === undefined ||
      other.range.low < fact.range.low ||
      other.range.high > fact.range.high
    )
      return false;
  }
  return true;
}

function isCovered(
  next: Environment,
  value: Abstract,
  old: Environment,
  by: Abstract,
): boolean {
  if (hasDead(next, value) && !hasDead(old, by)) return false;
  const [plain, plainBy] = [withoutBirth(value), withoutBirth(by)];
  return sameValues(joinValues(plainBy, plain), plainBy);
}

function withoutBirth(value: Abstract): Abstract {
  if (value.kind === "maybe")
    return { kind: "maybe", value: withoutBirth(value.value) };
  return value.kind === "reference" ? { ...value, born: 0 } : value;
}
