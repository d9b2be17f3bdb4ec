/**
 * What is claimed of an artifact and on what grounds (CLI.md: certificate).
 *
 * Strength: `strong` only if the differential run reached what it should have
 * reached and would have noticed what it should notice; every reason against is
 * kept in `weaknesses`, and is said first.
 */
import { printPlace, type Place } from "../base/index.ts";
import type { AccessResult } from "../interp/index.ts";
import type { Mismatch } from "./compare.ts";

/** Coverage of one state access of the program. */
export interface AccessCoverage {
  readonly at: string;
  readonly object: string;
  readonly op: string;
  readonly hit: number;
  readonly miss: number;
  readonly full: number;
  readonly expired: number;
}

/** Packets of one episode: those run, and those that the engine does not take. */
export interface EpisodeCount {
  readonly name: string;
  readonly packets: number;
  readonly leftOut: LeftOut;
}

export interface LeftOut {
  /** Frames that no test run of the kernel takes. */
  readonly frames: number;
  /** On interfaces that are no port of the plan. */
  readonly ports: number;
}

/** Packets of the run in which the sequential program ended early at one place. */
export interface FaultCount {
  readonly at: string;
  readonly packets: number;
  /** What the program does there, as a sentence without its subject. */
  readonly text: string;
}

/** Edges that no packet can take, by what shows it; allocators' own functions apart. */
export interface Excluded {
  /** Frozen options and constants. */
  readonly options: number;
  /** Numbers that operands can be, and frames that were found long enough. */
  readonly numbers: number;
  /** Invariants of recognised allocators. */
  readonly allocators: number;
}

/** The tested part: figures of the differential run. */
export interface Tested {
  readonly packets: number;
  /** The same by what they were for. */
  readonly episodes: readonly EpisodeCount[];
  readonly seed: number;
  /** What ran the emitted bytes. */
  readonly engine: "wasm" | "interp" | "kernel";
  /** Calls that the engine was not given as they are: clocks and the like. */
  readonly rewrittenCalls: readonly string[];
  readonly mismatches: number;
  /** The first few mismatches, for people. */
  readonly first: readonly Mismatch[];
  readonly branches: {
    readonly hit: number;
    readonly total: number;
    readonly missing: readonly string[];
    /** Edges that no packet can take, and so not in `total`. */
    readonly excluded: Excluded;
  };
  readonly accesses: readonly AccessCoverage[];
  readonly untested: readonly string[];
  readonly verdicts: Readonly<Record<string, number>>;
  readonly cells: { readonly touched: number; readonly contested: number };
  readonly coresUsed: number;
  readonly mutants: {
    readonly killed: number;
    readonly total: number;
    readonly survivors: readonly string[];
  };
  /** Entries that maps were given first, by the user or for want of his; by name. */
  readonly contents: Readonly<Record<string, number>>;
  /** Where the sequential program itself ended early. */
  readonly faults: readonly FaultCount[];
  /** Packets whose outcome differs because a core's share of a table was full. */
  readonly capacityDeviation: number;
  /** Packets whose outcome differs because a sketch is private, and keys collide less. */
  readonly collisionDeviation: number;
  readonly strength: "strong" | "weak";
  readonly weaknesses: readonly string[];
}

export interface Proved {
  readonly claim: string;
  readonly by: "structural" | "linear-algebra";
}

export interface Certificate {
  readonly schema: "divisi.certificate/1";
  readonly proved: readonly Proved[];
  readonly tested: Tested;
  /** Steps of several cores interleaved, against the order of their commits. */
  readonly guarded?: {
    readonly packets: number;
    readonly restarts: number;
    readonly mismatches: number;
  };
  /** `accepted by Linux 6.18`, `not asked: …`, or the rejection's summary. */
  readonly verifier: string;
  readonly rewrittenCalls: readonly string[];
  readonly initialise: readonly string[];
  readonly deviations: readonly string[];
  /** By path in the directory. */
  readonly sha256: Readonly<Record<string, string>>;
}

/** What the differential run must reach to be called strong. */
export interface Expectations {
  /** Verdicts that the program can return, by name. */
  readonly verdicts: readonly string[];
  /** Objects that some access can write. */
  readonly writable: readonly string[];
  /** Objects that some access wrote in the run. */
  readonly written: ReadonlySet<string>;
  readonly cores: number;
}

/** Each place once; several accesses of one line with their number. */
export function countedPlaces(places: readonly string[]): string[] {
  const counts = new Map<string, number>();
  for (const place of places) counts.set(place, (counts.get(place) ?? 0) + 1);
  return [...counts].map(([place, count]) =>
    count === 1 ? place : `${place} (${count} accesses)`,
  );
}

/** Reasons not to call the run strong; none: strong. */
export function weaknessesOf(
  tested: Omit<Tested, "strength" | "weaknesses">,
  expected: Expectations,
): string[] {
  const reasons: string[] = [];
  const { branches, mutants } = tested;
  for (const { at, packets, text } of tested.faults)
    reasons.push(
      `the program ${text.replace("{}", `at ${at} (${packets.toLocaleString("en")} ${packets === 1 ? "packet" : "packets"})`)}`,
    );
  for (const access of countedPlaces(tested.untested))
    reasons.push(`state access never reached: ${access}`);
  if (branches.hit < 0.9 * branches.total)
    reasons.push(
      `${branches.hit} of ${branches.total} branch edges reached, under 90 %`,
    );
  for (const verdict of expected.verdicts)
    if ((tested.verdicts[verdict] ?? 0) === 0)
      reasons.push(`verdict ${verdict} never returned`);
  for (const object of expected.writable)
    if (!expected.written.has(object)) reasons.push(`${object} never written`);
  if (expected.cores > 1 && tested.coresUsed < 2)
    reasons.push("only one core was used");
  if (mutants.total > 0 && mutants.killed < 0.95 * mutants.total)
    reasons.push(
      `${mutants.killed} of ${mutants.total} mutants caught, under 95 %`,
    );
  if (mutants.total === 0) reasons.push("no mutant could be made");
  return reasons;
}

interface CountedAccess {
  readonly at: string;
  readonly object: string;
  readonly op: string;
  readonly counts: Record<AccessResult, number>;
}

/** Counts results per access; the ones never touched are known from the program. */
export class AccessCounter {
  readonly #rows = new Map<string, CountedAccess>();
  /** The same rows; a machine names a place by one object. */
  readonly #byPlace = new WeakMap<Place, Map<string, CountedAccess>>();
  readonly written = new Set<string>();

  count(
    at: Place,
    object: string,
    op: string,
    result: AccessResult,
    writes: boolean,
  ): void {
    let row = this.#byPlace.get(at)?.get(object);
    if (row === undefined) {
      const rows = this.#byPlace.get(at) ?? new Map<string, CountedAccess>();
      this.#byPlace.set(
        at,
        rows.set(object, (row = this.#row(at, object, op))),
      );
    }
    row.counts[result]++;
    if (writes) this.written.add(object);
  }

  #row(at: Place, object: string, op: string): CountedAccess {
    const name = `${at.function}+${at.instruction} ${object}`;
    const known = this.#rows.get(name);
    if (known !== undefined) return known;
    const counts = { hit: 0, miss: 0, full: 0, expired: 0 };
    const row = { at: printPlace(at), object, op, counts };
    this.#rows.set(name, row);
    return row;
  }

  has(at: Place, object: string): boolean {
    return this.#rows.has(`${at.function}+${at.instruction} ${object}`);
  }

  rows(): AccessCoverage[] {
    return [...this.#rows.values()].map(({ at, object, op, counts }) => ({
      at,
      object,
      op,
      ...counts,
    }));
  }
}
