/**
 * Why a requirement has no good key, judged by *any* linear hash: coefficients
 * free per port and position, without Toeplitz's sliding windows. What no linear
 * hash can do, no NIC can.
 */
import { fromHex } from "../base/index.ts";
import {
  conditionsOf,
  termOf,
  termPort,
  termPosition,
  type Condition,
} from "./conditions.ts";
import { hasBit, LinearSystem } from "./gf2.ts";
import { viewsOf, type Problem } from "./member.ts";
import { canonicalField, hashInput, type ClassInputs } from "./packet-class.ts";
import { busiest, split, spreadOf, trafficNames, traffics } from "./quality.ts";
import { softwareDispatch, type RssRefusal } from "./refusal.ts";
import { classesOf, type Conjunct, type Requirement } from "./requirement.ts";
import type { KeySolution } from "./solution.ts";

/** More than any input has bits. */
const width = 320;

/** For a best key of rank 0: which rule forbids more. */
export function diagnose(
  requirement: Requirement,
  inputs: ClassInputs,
  best: KeySolution,
): Pick<RssRefusal, "code" | "text" | "fix" | "conjuncts" | "tryIndex"> {
  const alone = requirement.conjuncts.map((conjunct, index) => ({
    index,
    conjunct,
    stuck: stuckPorts({ ...requirement, conjuncts: [conjunct] }, inputs),
  }));
  const blamed = alone.filter(({ stuck }) => stuck.length > 0);
  const [first] = blamed;
  const conjuncts = blamed.map(({ index }) => index);
  if (first !== undefined) {
    const fields = fieldNamesOf(first.conjunct);
    if (fields.length === 0)
      return {
        code: "R4-constant-key",
        text: `all packets of port ${first.stuck.join(" and ")} use the same cell`,
        fix: "merge, replicate or lock this object instead",
        conjuncts,
      };
    const hashable = hashableFields(first.conjunct, inputs);
    const odd = fields.filter((field) => !hashable.includes(field));
    if (odd.length > 0)
      return {
        code: "R4-unhashable",
        text: `${best.profile} does not hash ${odd.join(", ")}`,
        fix: `key by ${hashable.length > 0 ? `some of ${hashable.join(", ")}` : "addresses or ports"}, or ${softwareDispatch}`,
        conjuncts,
      };
    return {
      code: "R3-disjoint",
      text: `the equations over ${fields.join(", ")} leave no bit that all packets that must meet agree on`,
      fix: softwareDispatch,
      conjuncts,
    };
  }
  if (stuckPorts(requirement, inputs).length > 0)
    return {
      code: "R3-disjoint",
      text: "each condition alone can be met, all together leave a constant hash",
      fix: "replicate, merge or lock one of the objects instead of sharding all",
      conjuncts: requirement.conjuncts.map((_, index) => index),
    };
  return {
    ...(best.mode === "full" ? { tryIndex: true } : {}),
    code: "degenerate",
    text: `a Toeplitz hash of ${2 ** best.tableBits} entries is constant under these conditions${best.mode === "full" ? " when all 32 bits must agree" : ""}`,
    fix:
      best.mode === "full"
        ? "solve in index mode, which leaves far more keys"
        : `use a NIC with a smaller table, or ${softwareDispatch}`,
  };
}

/**
 * Do few distinct keys explain the imbalance? Placing D keys at random on c cores
 * loads the busiest with about 1 + sqrt(2 ln(c) c / D) times the mean, and D < c
 * keys load at least one with c / D.
 */
export function fewKeys(
  problem: Pick<
    Problem,
    "requirement" | "inputs" | "classes" | "cores" | "tableBits"
  >,
  best: KeySolution,
  {
    conditions,
    maxImbalance,
  }: {
    readonly conditions: readonly Condition[];
    readonly maxImbalance: number;
  },
): boolean {
  const { requirement, inputs, cores, tableBits } = problem;
  const all = rankOutside(conditions, new Set());
  return requirement.ports.every((port, index) => {
    const key = best.ports[index]?.key ?? "";
    const table = best.groups.find(({ ports }) => ports.includes(port))?.table;
    const [view] = viewsOf(fromHex(key), problem.classes[index] ?? [], {
      inputs,
      tableBits,
    });
    if (view === undefined || table === undefined) return false;
    const spread = spreadOf(view, 2 ** tableBits);
    return trafficNames.every((name) => {
      const traffic = traffics[name];
      const load = busiest(spread[name], table, cores);
      if (load <= maxImbalance) return true;
      const { free, server } = split(view.class, view.fields, traffic);
      // Of the linear hashes that meet the conditions, cut to these positions:
      // all of them, less what the conditions say about them alone.
      const rank = (positions: readonly number[]): number => {
        const inside = new Set(positions.map((at) => termOf(index, at)));
        return inside.size - all + rankOutside(conditions, inside);
      };
      const keys =
        2 ** Math.min(40, rank(free)) * Math.min(1000, 2 ** rank(server));
      const expected = Math.max(
        cores / keys,
        1 + Math.sqrt((2 * Math.log(cores) * cores) / keys),
      );
      return expected > 1.15 && load <= 1.25 * expected;
    });
  });
}

/** Rank of the conditions without some of their terms. */
function rankOutside(
  conditions: readonly Condition[],
  inside: ReadonlySet<number>,
): number {
  const columns = new Map<number, number>();
  const rows = conditions.map((condition) =>
    condition
      .filter((term) => !inside.has(term))
      .map((term) => {
        const column = columns.get(term) ?? columns.size;
        columns.set(term, column);
        return column;
      }),
  );
  const system = new LinearSystem(columns.size);
  for (const row of rows) system.add(row);
  return system.rank;
}

/** Ports whose every linear hash is constant over what they must spread. */
function stuckPorts(
  requirement: Requirement,
  inputs: ClassInputs,
): readonly string[] {
  const { conditions } = conditionsOf(
    requirement,
    requirement.ports.map(() => inputs),
  );
  const functionals = freeFunctionals(requirement, conditions);
  return requirement.ports.filter((name, port) => {
    const named = requirement.conjuncts.flatMap((conjunct) =>
      ([0, 1] as const).flatMap((end) =>
        conjunct.ports[end] === name ? classesOf(conjunct, end) : [],
      ),
    );
    const size = Math.max(
      0,
      ...named.flatMap((each) =>
        (inputs[each] ?? []).map((fields) => hashInput(each, fields).length),
      ),
    );
    if (named.length === 0) return false;
    return !functionals.some((functional) => {
      for (let at = 0; at < size; at++)
        if (hasBit(functional, port * width + at)) return true;
      return false;
    });
  });
}

function freeFunctionals(
  requirement: Requirement,
  conditions: readonly Condition[],
): readonly Uint32Array[] {
  const system = new LinearSystem(width * requirement.ports.length);
  for (const condition of conditions)
    system.add(
      condition.map((term) => termPort(term) * width + termPosition(term)),
    );
  return system.nullSpace();
}

function fieldNamesOf({ equations }: Conjunct): readonly string[] {
  const bits = equations.flatMap(({ left, right }) => [
    ...left.bits,
    ...right.bits,
  ]);
  return [...new Set(bits.map(({ field }) => field))];
}

function hashableFields(
  conjunct: Conjunct,
  inputs: ClassInputs,
): readonly string[] {
  const hashed = new Set(
    ([0, 1] as const).flatMap((end) =>
      classesOf(conjunct, end).flatMap((name) =>
        (inputs[name] ?? []).flatMap((fields) =>
          hashInput(name, fields).map(({ field }) => field),
        ),
      ),
    ),
  );
  return conjunct.equations
    .flatMap(({ left, right }) => [...left.bits, ...right.bits])
    .map(({ field }) => field)
    .filter(
      (field, index, all) =>
        hashed.has(canonicalField(field)) && all.indexOf(field) === index,
    );
}
