/**
 * RSS keys for a requirement, by elimination over GF(2).
 *
 * Unknowns are the key bits of all ports. A condition (conditions.ts) says that
 * some hash coefficients sum to 0; coefficient i of hash bit t (0 the least
 * significant) is key bit i + 31 − t, so each condition is one equation per hash
 * bit that counts: the b bits that index the table (index mode), or all 32 (full
 * mode, needed when the index rule is not known or software uses the hash). Every
 * key in the null space is correct; of `samples` drawn ones the best is kept: the
 * highest rank first, then the lowest imbalance.
 *
 * Law: a solution satisfies every condition (`violated` judges it, from the key
 * bytes alone). Not promised: that a better key does not exist.
 */
import { Bug, fromHex, Random, toHex } from "../base/index.ts";
import { candidates, fieldsOf } from "./assignment.ts";
import {
  conditionsOf,
  termPort,
  termPosition,
  type Assignment,
  type Condition,
} from "./conditions.ts";
import { diagnose, fewKeys } from "./diagnosis.ts";
import { hasBit, LinearSystem } from "./gf2.ts";
import { bestMember, worst, worstOf, type Problem } from "./member.ts";
import {
  inputLength,
  type ClassInputs,
  type PacketClass,
} from "./packet-class.ts";
import { softwareDispatch, type RssRefusal } from "./refusal.ts";
import { classesOf, type Requirement } from "./requirement.ts";
import type { KeySolution, PortKey } from "./solution.ts";
import type { SolveOptions } from "./solve-options.ts";
import { indirectionTables } from "./table.ts";

export function solveKeys(
  requirement: Requirement,
  options: SolveOptions,
): KeySolution | RssRefusal {
  const { profile } = options;
  if (!profile.rss)
    return {
      kind: "refusal",
      code: "no-rss",
      text: `${profile.name} has no receive-side scaling`,
      fix: softwareDispatch,
    };
  const { cores = 16 } = options;
  if (profile.queues !== undefined && cores > profile.queues)
    return {
      kind: "refusal",
      code: "too-few-queues",
      text: `${profile.name} spreads over ${profile.queues} queues at most, fewer than ${cores} cores`,
      fix: `use at most ${profile.queues} cores, or ${softwareDispatch}`,
    };
  let best: KeySolution | RssRefusal | undefined;
  for (const inputs of candidates(profile, options.fieldSets)) {
    const answer = attempt(requirement, inputs, options);
    // The driver's default fields, where they will do.
    if (answer.kind === "solution") return answer;
    if (best === undefined || better(answer, best)) best = answer;
  }
  if (best === undefined) throw new Bug("a profile without hash fields");
  return best;
}

/** The first condition that these keys (hexadecimal, per port) break. */
export function violated(
  requirement: Requirement,
  keys: readonly string[],
  options: {
    readonly inputs: ClassInputs;
    readonly tableBits: number;
    readonly mode: "index" | "full";
  },
): Condition | undefined {
  const assignment = requirement.ports.map(() => options.inputs);
  const bytes = keys.map((key) => fromHex(key));
  const bit = (port: number, at: number): number =>
    ((bytes[port]?.[at >>> 3] ?? 0) >>> (7 - (at & 7))) & 1;
  const hashBits = options.mode === "full" ? 32 : options.tableBits;
  return conditionsOf(requirement, assignment).conditions.find((condition) => {
    for (let low = 0; low < hashBits; low++) {
      let sum = 0;
      for (const term of condition)
        sum ^= bit(termPort(term), termPosition(term) + 31 - low);
      if (sum !== 0) return true;
    }
    return false;
  });
}

/** The classes that the conjuncts name for a port; TCP and UDP where none does. */
export function namedClasses(
  requirement: Requirement,
  port: string,
): readonly PacketClass[] {
  const named = requirement.conjuncts.flatMap((conjunct) =>
    ([0, 1] as const).flatMap((end) =>
      conjunct.ports[end] === port ? classesOf(conjunct, end) : [],
    ),
  );
  return named.length > 0 ? [...new Set(named)] : ["tcp4", "udp4"];
}

/** Input bits of the widest class. */
function inputBits(
  classes: readonly PacketClass[],
  inputs: ClassInputs,
): number {
  const sizes = classes.flatMap((name) =>
    (inputs[name] ?? []).map((fields) => inputLength(name, fields)),
  );
  return Math.max(0, ...sizes);
}

function attempt(
  requirement: Requirement,
  inputs: ClassInputs,
  options: SolveOptions,
): KeySolution | RssRefusal {
  const { profile } = options;
  const assignment: Assignment = requirement.ports.map(() => inputs);
  const { conditions, unknown } = conditionsOf(requirement, assignment);
  if (unknown !== undefined)
    return {
      kind: "refusal",
      code: "unknown-input",
      text: `what ${profile.name} hashes of ${unknown.class} packets is not known`,
      fix: `let the program drop or pass ${unknown.class} packets before it uses state, or describe the NIC in a profile file`,
      conjuncts: [unknown.conjunct],
    };
  const classes = requirement.ports.map((port) =>
    namedClasses(requirement, port),
  );
  const widest = Math.max(...classes.map((named) => inputBits(named, inputs)));
  const keyBits = (widest === 0 ? 96 : widest) + 31;
  if (keyBits > 8 * profile.keyBytes)
    return {
      kind: "refusal",
      code: "key-too-short",
      text: `the input needs ${keyBits} key bits, ${profile.name} has ${8 * profile.keyBytes}`,
      fix: softwareDispatch,
    };
  const tableBits = options.tableBits ?? Math.log2(profile.tableEntries);
  const mode = chosenMode(options);
  const { cores = 16 } = options;
  const system = new LinearSystem(keyBits * requirement.ports.length);
  const hashBits = mode === "full" ? 32 : tableBits;
  for (const condition of conditions)
    for (let low = 0; low < hashBits; low++)
      system.add(
        condition.map(
          (term) => termPort(term) * keyBits + termPosition(term) + 31 - low,
        ),
      );
  const problem: Problem = {
    requirement,
    inputs,
    options,
    classes,
    system,
    keyBits,
    tableBits,
    cores,
    full: indirectionTables(
      Array.from({ length: 2 ** tableBits }, () => true),
      cores,
    ),
  };
  const solution = solutionOf(problem, mode);
  return judged(problem, solution, conditions) ?? solution;
}

function chosenMode({ mode, profile }: SolveOptions): "index" | "full" {
  if (mode === "index" || mode === "full") return mode;
  return profile.indexRule === "low" ? "index" : "full";
}

function solutionOf(problem: Problem, mode: "index" | "full"): KeySolution {
  const { requirement, options, inputs, system, keyBits, tableBits } = problem;
  const { seed = 1, samples = 200, profile } = options;
  const best = bestMember(problem, new Random(seed), samples);
  const { ranks, imbalances, keys, rank, groups } = best;
  const fields = fieldsOf(inputs);
  const mentioned = system.mentioned();
  const ports = requirement.ports.map((name, port): PortKey => {
    const imbalance = imbalances[port];
    const key = keys[port];
    if (imbalance === undefined || key === undefined)
      throw new Bug(`no key for ${name}`);
    const bits = Array.from({ length: keyBits }, (_, bit) => bit);
    return {
      name,
      key: toHex(key),
      fields,
      set: profile.settable
        .filter((each) => problem.classes[port]?.includes(each))
        .map((each) => ({ class: each, fields: fields[each] ?? "" })),
      rank: ranks[port] ?? 0,
      imbalance,
      constrained: bits.filter((bit) =>
        hasBit(mentioned, port * keyBits + bit),
      ),
    };
  });
  return {
    kind: "solution",
    profile: profile.name,
    mode,
    tableBits,
    cores: problem.cores,
    ports,
    groups,
    freeBits: system.free,
    keyBits: system.columns,
    rank,
    entries: 2 ** rank,
    imbalance: worstOf(imbalances),
    seed,
    samples,
    doubts: profile.doubts,
  };
}

/** The refusal, if the best key is not good enough. */
function judged(
  problem: Problem,
  best: KeySolution,
  conditions: readonly Condition[],
): RssRefusal | undefined {
  const { requirement, inputs, options, cores } = problem;
  const { freeBits, rank, entries } = best;
  const common = { kind: "refusal", freeBits, best } as const;
  if (rank === 0) return { ...common, ...diagnose(requirement, inputs, best) };
  if (entries < cores)
    return {
      ...common,
      code: "rank-too-small",
      text: `the best key reaches ${entries} table entries, fewer than ${cores} cores`,
      fix: `use at most ${entries} cores, or ${softwareDispatch}`,
    };
  const { maxImbalance = 1.3 } = options;
  if (worst(best.imbalance) <= maxImbalance) return undefined;
  if (fewKeys(problem, best, { conditions, maxImbalance })) return undefined;
  return {
    ...common,
    ...(best.mode === "full" ? { tryIndex: true } : {}),
    code: "imbalance",
    text: `the best key loads one core ${worst(best.imbalance).toFixed(2)} times the mean; allowed are ${maxImbalance}`,
    fix:
      best.mode === "full"
        ? "solve in index mode, which leaves far more keys"
        : `use fewer cores, or ${softwareDispatch}`,
  };
}

/** Solutions before refusals; then rank, then imbalance. */
function better(
  left: KeySolution | RssRefusal,
  right: KeySolution | RssRefusal,
): boolean {
  if (left.kind !== right.kind) return left.kind === "solution";
  const [a, b] = [left, right].map((answer) =>
    answer.kind === "solution" ? answer : answer.best,
  );
  if (a === undefined || b === undefined)
    return a !== undefined && b === undefined;
  if (a.rank !== b.rank) return a.rank > b.rank;
  return worst(a.imbalance) < worst(b.imbalance);
}
