/**
 * Members of the keys' null space: drawn, then graded against each other by the
 * rank of the index first, and by the imbalance then.
 */
import type { Random } from "../base/index.ts";
import { hasBit, span, spanBasis, type LinearSystem } from "./gf2.ts";
import type { ClassInputs, PacketClass } from "./packet-class.ts";
import {
  busiest,
  hashView,
  hitsOf,
  imbalanceUnder,
  split,
  spreadOf,
  trafficNames,
  traffics,
  type HashView,
  type Imbalance,
  type Spread,
} from "./quality.ts";
import { keyGroups, type Requirement } from "./requirement.ts";
import type { KeyGroup } from "./solution.ts";
import type { SolveOptions } from "./solve-options.ts";
import { indirectionTables, type IndirectionTable } from "./table.ts";

export interface Problem {
  readonly requirement: Requirement;
  readonly inputs: ClassInputs;
  readonly options: SolveOptions;
  readonly classes: readonly (readonly PacketClass[])[];
  readonly system: LinearSystem;
  readonly keyBits: number;
  readonly tableBits: number;
  readonly cores: number;
  /** The tables where every entry is reachable. */
  readonly full: readonly IndirectionTable[];
}

/** One drawn member of the null space, graded. */
export interface Member {
  readonly keys: readonly Uint8Array[];
  readonly rank: number;
  readonly ranks: readonly number[];
  readonly imbalances: readonly Imbalance[];
  readonly groups: readonly KeyGroup[];
}

/** What ranks alone tell of a member. */
interface Sketch {
  readonly keys: readonly Uint8Array[];
  readonly views: readonly (readonly HashView[])[];
  readonly ranks: readonly number[];
  readonly score: number;
  /** Every kind of traffic reaches every entry equally often. */
  readonly perfect: boolean;
}

const finalists = 4;

/**
 * The best of `samples` drawn members. All are compared by ranks: of the whole
 * input first, then of the bits that each kind of traffic moves (with servers as
 * many as there could be). The load that 1,000 servers cause then decides among
 * the first four, and among all that come after and rank as well, until one is good
 * enough. A perfect member ends the search: none is better. Four that reach the
 * ceiling, where no member can be perfect, end the comparison of ranks.
 */
export function bestMember(
  problem: Problem,
  random: Random,
  samples: number,
): Member {
  let kept: Sketch[] = [];
  const most = ceiling(problem);
  for (let drawn = 0; drawn < Math.max(1, samples); drawn++) {
    const sketch = sketchOf(problem, drawKeys(problem, random));
    if (sketch.perfect) {
      kept = [sketch];
      break;
    }
    const last = kept.at(finalists - 1);
    if (last !== undefined && last.score >= sketch.score) {
      if (!most.perfect && last.score >= most.score) break;
      continue;
    }
    kept = [...kept, sketch]
      .sort((left, right) => right.score - left.score)
      .slice(0, finalists);
  }
  const graded = kept.map((sketch) => grade(problem, sketch));
  let best = graded.reduce((left, right) =>
    scoreOfMember(right) > scoreOfMember(left) ? right : left,
  );
  // Ranks are alike from here on: what differs is where the servers fall.
  const least = kept.at(-1)?.score ?? 0;
  const { serverDraws = 1000 } = problem.options;
  for (let extra = 0; extra < serverDraws; extra++) {
    const { uniform, one8, one16: limit } = worstOf(best.imbalances);
    // Nothing to gain, or nothing that another place for the servers would change.
    if (limit <= goodLoad || uniform > goodLoad || one8 > goodLoad) break;
    const sketch = sketchOf(problem, drawKeys(problem, random));
    if (sketch.score < least || !isWithin(problem, sketch, limit)) continue;
    const member = grade(problem, sketch);
    if (scoreOfMember(member) > scoreOfMember(best)) best = member;
  }
  return best;
}

/** Load of the busiest core over the mean at which the search ends. */
const goodLoad = 1.1;

/** Quickly: false if some kind of traffic loads a core more than `limit`. */
function isWithin(
  { full, cores }: Problem,
  { views, ranks }: Sketch,
  limit: number,
): boolean {
  const entries = full[0]?.entries.length ?? 1;
  if (ranks.some((rank) => 2 ** rank < entries)) return true;
  return views.every(
    ([main]) =>
      main === undefined ||
      serverTraffics.every((traffic) => {
        const hits = hitsOf(main, traffic, entries);
        return full.some((table) => busiest(hits, table, cores) < limit);
      }),
  );
}

const serverTraffics = [
  traffics.clientsAreDestinations,
  traffics.clientsAreSources,
];

function scoreOfMember({ rank, imbalances }: Member): number {
  const imbalance = worstOf(imbalances);
  const { uniform, one8, one16 } = imbalance;
  return 1e4 * rank - worst(imbalance) - (uniform + one8 + one16) / 1e3;
}

function drawKeys(problem: Problem, random: Random): readonly Uint8Array[] {
  const { requirement, system, keyBits, options } = problem;
  const { keyBytes } = options.profile;
  const solution = system.member(random);
  return requirement.ports.map((_, port) => {
    const key = new Uint8Array(keyBytes);
    // What lies behind the longest input's last window is free.
    for (let at = keyBits >>> 3; at < keyBytes; at += 4) {
      const word = random.u32();
      for (let byte = 0; byte < 4 && at + byte < keyBytes; byte++)
        key[at + byte] = word >>> (8 * byte);
    }
    for (let bit = 0; bit < keyBits; bit++) {
      const mask = 0x80 >>> (bit & 7);
      const at = bit >>> 3;
      const byte = (key[at] ?? 0) & ~mask;
      key[at] = hasBit(solution, port * keyBits + bit) ? byte | mask : byte;
    }
    return key;
  });
}

function sketchOf(problem: Problem, keys: readonly Uint8Array[]): Sketch {
  const { inputs, classes, tableBits } = problem;
  const views = keys.map((key, port) =>
    viewsOf(key, classes[port] ?? [], { inputs, tableBits }),
  );
  const mains = views.map(([main]) => main);
  const score = scoreOf(mains, tableBits, ({ windows }, positions, basis) => {
    const moved = positions.map((at) => windows[at] ?? 0);
    return spanBasis([...basis, ...moved], tableBits);
  });
  return { keys, views, ...score };
}

/** Ranks of the whole inputs and under each traffic, as one number to compare. */
function scoreOf(
  mains: readonly (HashView | undefined)[],
  tableBits: number,
  extend: (
    view: HashView,
    positions: readonly number[],
    basis: readonly number[],
  ) => readonly number[],
): Pick<Sketch, "ranks" | "score" | "perfect"> {
  const ranks = mains.map((main) =>
    main === undefined ? 0 : extend(main, [...main.windows.keys()], []).length,
  );
  let least = tableBits;
  let sum = 0;
  let perfect = true;
  for (const main of mains) {
    if (main === undefined) {
      perfect = false;
      continue;
    }
    for (const name of trafficNames) {
      const { free, server } = split(main.class, main.fields, traffics[name]);
      const moved = extend(main, free, []);
      if (moved.length < tableBits) perfect = false;
      const rank =
        moved.length === tableBits
          ? tableBits
          : extend(main, server, moved).length;
      least = Math.min(least, rank);
      sum += rank;
    }
  }
  return {
    ranks,
    perfect,
    score: 1e6 * Math.min(...ranks) + 1e4 * least + sum,
  };
}

/**
 * What no member exceeds: the rank of some windows is at most the number of those
 * that are not 0 in every member.
 */
function ceiling({
  inputs,
  classes,
  system,
  keyBits,
  tableBits,
  requirement,
}: Problem): Pick<Sketch, "score" | "perfect"> {
  const mains = requirement.ports.map((_, port) => {
    const nothing = new Uint8Array((keyBits + 7) >>> 3);
    const [main] = viewsOf(nothing, classes[port] ?? [], { inputs, tableBits });
    if (main === undefined) return undefined;
    const open = Array.from(
      { length: keyBits },
      (_, bit) => !system.forcesZero(port * keyBits + bit),
    );
    const windows = main.windows.map((_, at) =>
      open.slice(at + 32 - tableBits, at + 32).some(Boolean) ? 1 : 0,
    );
    return { ...main, windows };
  });
  return scoreOf(mains, tableBits, ({ windows }, positions, basis) =>
    [...basis, ...positions.filter((at) => windows[at] === 1)].slice(
      0,
      tableBits,
    ),
  );
}

function grade(problem: Problem, { keys, views, ranks }: Sketch): Member {
  const { requirement } = problem;
  const imbalances = new Map<string, Imbalance>();
  const groups = keyGroups(requirement).map((ports): KeyGroup => {
    const ofPorts = ports.map(
      (name) => views[requirement.ports.indexOf(name)] ?? [],
    );
    const { tables, reachable } = tablesOf(ofPorts.flat(), problem);
    const spreads = ofPorts.map(([main]) =>
      main === undefined ? undefined : spreadOf(main, 2 ** problem.tableBits),
    );
    const best = tables
      .map((table) => {
        const loads = spreads.map((spread) => loadOf(spread, table, problem));
        return { table, loads, worst: worst(worstOf(loads)) };
      })
      .reduce((left, right) => (right.worst < left.worst ? right : left));
    for (const [index, name] of ports.entries())
      imbalances.set(name, best.loads[index] ?? idle(problem));
    return { ports, table: best.table, reachable };
  });
  return {
    keys,
    rank: Math.min(...ranks),
    ranks,
    imbalances: requirement.ports.map(
      (name) => imbalances.get(name) ?? idle(problem),
    ),
    groups,
  };
}

function loadOf(
  spread: Spread | undefined,
  table: IndirectionTable,
  problem: Problem,
): Imbalance {
  if (spread === undefined) return idle(problem);
  return imbalanceUnder(spread, table, problem.cores);
}

/** One core has it all. */
function idle({ cores }: Problem): Imbalance {
  return { uniform: cores, one8: cores, one16: cores };
}

/** The hashed classes of a port, the widest input first. */
export function viewsOf(
  key: Uint8Array,
  classes: readonly PacketClass[],
  {
    inputs,
    tableBits,
  }: { readonly inputs: ClassInputs; readonly tableBits: number },
): readonly HashView[] {
  const views = new Map<string, HashView>();
  for (const name of classes)
    for (const fields of inputs[name] ?? [])
      if (fields !== "" && !views.has(`${name.slice(-1)}${fields}`))
        views.set(
          `${name.slice(-1)}${fields}`,
          hashView(key, name, fields, tableBits),
        );
  return [...views.values()].sort(
    (left, right) => right.windows.length - left.windows.length,
  );
}

function tablesOf(
  views: readonly HashView[],
  { tableBits, cores, full }: Problem,
): {
  readonly tables: readonly IndirectionTable[];
  readonly reachable: number;
} {
  const bases = views.map(({ windows }) => spanBasis(windows, tableBits));
  if (bases.some(({ length }) => length === tableBits))
    return { tables: full, reachable: 2 ** tableBits };
  const reachable = Array.from({ length: 2 ** tableBits }, () => false);
  reachable[0] = true;
  for (const entry of bases.flatMap(span)) reachable[entry] = true;
  // Even over what is reached first, then the other shape.
  return {
    tables: indirectionTables(reachable, cores).toReversed(),
    reachable: reachable.filter(Boolean).length,
  };
}

export function worst({ uniform, one8, one16 }: Imbalance): number {
  return Math.max(uniform, one8, one16);
}

export function worstOf(all: readonly Imbalance[]): Imbalance {
  const of = (kind: keyof Imbalance): number =>
    Math.max(...all.map((imbalance) => imbalance[kind]));
  return { uniform: of("uniform"), one8: of("one8"), one16: of("one16") };
}
