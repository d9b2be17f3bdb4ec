/**
 * What a guarded run is asked for, and what it has in memory besides the maps.
 *
 *   version   u32, twice the number of commits that wrote; odd while a transaction
 *             writes. A packet's ticket: 2n for the n-th that wrote, 2n + 1 for one that
 *             only read behind it.
 *   mutex     of writers (lock), of serial runs (transaction)
 *   tokens    one per core, a line pair each
 *   counters  per core: see `guardCounter`
 *   saved     per core: bytes of the packet as they were before the attempt
 *   undo      per core: a count, then (address, size, old value) of 16 bytes each:
 *             stores of an attempt to objects that are not guarded
 *   stamps    per core: a count, then (address of the cell, address of its `stamped`):
 *             refreshes of an attempt, done when it commits
 *   hints     per core: by interface, how many packets in a row had to be run again
 *   chains    see ageing.ts
 */
import { InputError } from "../../base/index.ts";
import type { ProgramSpec } from "../../isa/index.ts";
import type { MapLayout } from "./map-layout.ts";

/** An index allocator in an array of cells, as nfs/c/nf_chain.h keeps them. */
export interface AgeingChain {
  /** The array's name. */
  readonly chain: string;
  /** Indices that are handed out. */
  readonly capacity: number;
  /** Nanoseconds after which an index that nobody refreshed is free. */
  readonly expiry: bigint;
  readonly functions: {
    readonly allocate: string;
    readonly refresh?: string;
    readonly free?: string;
  };
}

/** A field of values that only says when they were used last (refresh-fields.ts). */
export interface RefreshField {
  /** The map's name. */
  readonly object: string;
  /** Byte of the field, which has eight. */
  readonly offset: number;
  /** Nanoseconds. */
  readonly expiry: bigint;
}

export interface FieldLayout {
  readonly map: number;
  readonly offset: number;
  readonly expiry: bigint;
}

/** Packets that write, by where they came in. */
export interface GuardWriters {
  readonly ifindex?: readonly number[];
  readonly notIfindex?: readonly number[];
  /** All of them write: they start as writers. Default: they may. */
  readonly certain?: boolean;
}

/** For tests of tests: what is left out. */
export type GuardMutant =
  /** Nobody takes anything. */
  | "no-lock"
  /** The verdict of the run that was given up. */
  | "first-verdict"
  /** Refreshes of readers are forgotten. */
  | "no-stamp"
  /** Readers do not ask whether an entry has expired. */
  | "any-age"
  /** What an attempt did to the packet stays. */
  | "no-undo"
  /** A writer leaves the last core its token. */
  | "skip-token"
  /** A reader that gives up keeps its token. */
  | "keep-token"
  /** A transaction that read does not look whether somebody wrote. */
  | "no-validation"
  /** A transaction that wrote leaves the version as it was. */
  | "no-increment";

export interface GuardOptions {
  readonly kind: "lock" | "transaction";
  /** Names of maps. */
  readonly objects: readonly string[];
  readonly writers?: readonly GuardWriters[];
  /** Chains whose refreshes need not be writes (lock only; ageing.ts). */
  readonly ages?: readonly AgeingChain[];
  /** Fields of which the same is true. */
  readonly refreshes?: readonly RefreshField[];
  /** Looks at a busy word before a core sleeps or queues. Default: some hundred. */
  readonly patience?: number;
  readonly mutant?: GuardMutant;
}

/** Words of a core's counters, by byte. */
export const guardCounter = {
  reads: 0,
  writes: 4,
  restarts: 8,
  aborts: 12,
  serial: 16,
} as const;
export const linePair = 128;

export interface ChainLayout {
  readonly map: number;
  readonly capacity: number;
  readonly expiry: bigint;
  /** Numbers of functions; -1: there is none. */
  readonly allocate: number;
  readonly refresh: number;
  readonly free: number;
  /** By cell, u32: 1 + the epoch in which a reader refreshed it last, 0: settled. */
  readonly stamped: number;
  /** By cell, u32: where its place in the list comes from (ageing.ts). */
  readonly placed: number;
  /** By cell, u64: its `last` when it was put there, if `placed` is odd. */
  readonly aged: number;
}

export interface GuardLayout {
  readonly kind: "lock" | "transaction";
  readonly mutant?: GuardMutant;
  readonly patience?: number;
  readonly writers: readonly GuardWriters[];
  /** Numbers of the guarded maps. */
  readonly objects: readonly number[];
  readonly version: number;
  readonly mutex: number;
  readonly tokens: number;
  readonly counters: number;
  readonly saved: number;
  readonly savedSize: number;
  readonly undo: number;
  readonly stamps: number;
  readonly hints: number;
  readonly chains: readonly ChainLayout[];
  readonly fields: readonly FieldLayout[];
}

/** Entries of a core's undo log. */
export const undoEntries = 2047;
const undoSize = 16 * (undoEntries + 1);
/** Refreshes of one attempt. */
export const stampEntries = 127;
const stampSize = 8 * (stampEntries + 1);

export function guardLayout(
  program: ProgramSpec,
  options: GuardOptions,
  about: {
    readonly maps: readonly MapLayout[];
    readonly cores: number;
    readonly savedSize: number;
  },
  take: (size: number, alignment?: number) => number,
): GuardLayout {
  const { maps, cores, savedSize } = about;
  const numberOf = (name: string): number => {
    const index = maps.findIndex(({ spec }) => spec.name === name);
    if (index < 0)
      throw new InputError(
        `${program.file}: no map is called ${name}, so it cannot be guarded`,
        { code: "map-unknown", kind: "usage" },
      );
    return index;
  };
  const functionOf = (name: string | undefined): number =>
    program.functions.findIndex((fn) => fn.name === name);
  const ages = options.kind === "lock" ? (options.ages ?? []) : [];
  return {
    kind: options.kind,
    ...(options.mutant === undefined ? {} : { mutant: options.mutant }),
    ...(options.patience === undefined ? {} : { patience: options.patience }),
    writers: options.writers ?? [],
    objects: options.objects.map(numberOf),
    version: take(linePair, linePair),
    mutex: take(linePair, linePair),
    tokens: take(cores * linePair, linePair),
    counters: take(cores * linePair, linePair),
    saved: take(cores * savedSize, linePair),
    savedSize,
    undo: take(cores * undoSize, linePair),
    hints: take(cores * linePair, linePair),
    stamps: take(cores * stampSize, linePair),
    fields: (options.kind === "lock" ? (options.refreshes ?? []) : []).map(
      ({ object, offset, expiry }) => ({
        map: numberOf(object),
        offset,
        expiry,
      }),
    ),
    chains: ages.map(({ chain, capacity, expiry, functions }) => {
      const map = numberOf(chain);
      const cells = maps[map]?.capacity ?? 0;
      return {
        map,
        capacity: Math.min(capacity, cells - 1),
        expiry,
        allocate: functionOf(functions.allocate),
        refresh: functionOf(functions.refresh),
        free: functionOf(functions.free),
        stamped: take(4 * cells),
        placed: take(4 * cells),
        aged: take(8 * cells),
      };
    }),
  };
}

export function tokenOf({ tokens }: GuardLayout, core: number): number {
  return tokens + core * linePair;
}

export function countersOf({ counters }: GuardLayout, core: number): number {
  return counters + core * linePair;
}

export function savedOf(
  { saved, savedSize }: GuardLayout,
  core: number,
): number {
  return saved + core * savedSize;
}

export function undoOf({ undo }: GuardLayout, core: number): number {
  return undo + core * undoSize;
}

export function stampsOf({ stamps }: GuardLayout, core: number): number {
  return stamps + core * stampSize;
}

/** Interfaces are told apart by as many low bits of their numbers. */
export const hintBits = 4;

export function hintsOf({ hints }: GuardLayout, core: number): number {
  return hints + core * linePair;
}
