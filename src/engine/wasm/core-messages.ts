/**
 * What the thread of a parallel run and its workers tell each other. Packets and
 * verdicts never go by message: they lie in memory that both see.
 */
import type { MapEntry, Outcome } from "../../interp/index.ts";
import type { ProgramSpec } from "../../isa/index.ts";
import type { Place } from "../../base/index.ts";
import type { Look } from "./abreast.ts";
import type { GuardCounts } from "./guard-counts.ts";
import type { LoadOptions, PreparedProgram } from "./prepare.ts";
import type { ResidentTrace } from "./resident.ts";

/** What is kept of each packet: each kind includes those before. */
export type Keep = "verdicts" | "digests" | "outcomes";

/** How a test makes a worker die: in a helper call for that packet. */
export interface Sabotage {
  /** Number of the packet. */
  readonly packet: number;
  readonly how: "throw" | "exit" | "trap" | "bounds" | "heap" | "hang";
}

/** What a worker starts with. */
export interface CoreStart {
  readonly program: ProgramSpec;
  readonly prepared: PreparedProgram;
  readonly options: Omit<
    LoadOptions,
    "tamper" | "beforeHelper" | "environment"
  >;
  readonly keep: Keep;
  /** See core-words.ts. */
  readonly control: SharedArrayBuffer;
  /** See ring-slots.ts. */
  readonly slots: SharedArrayBuffer;
  /** By the order of its packets: a verdict, and two words of digest if kept. */
  readonly verdicts: SharedArrayBuffer;
  readonly digests: SharedArrayBuffer;
  /** Guarded, in the same order: tickets; empty else. */
  readonly tickets: SharedArrayBuffer;
  /** Cores that share maps begin together: how many are ready, of how many. */
  readonly gate?: { readonly ready: SharedArrayBuffer; readonly cores: number };
  /** What the worker feeds itself from; else the other thread feeds it. */
  readonly resident?: ResidentTrace;
  /** Packets between two looks at the clock; where cores share memory, `words` to meet by. */
  readonly measure?: {
    readonly window: number;
    readonly words?: SharedArrayBuffer;
  };
  readonly sabotage?: Sabotage;
}

/** A packet whose run the program ended badly. */
export interface PacketFault {
  readonly packet: number;
  readonly text: string;
  readonly at: Place;
}

export type FromCore =
  /** Of the packets behind those told before, in order. */
  | { readonly kind: "outcomes"; readonly outcomes: readonly Outcome[] }
  | { readonly kind: "faults"; readonly faults: readonly PacketFault[] }
  | {
      readonly kind: "finished";
      readonly packets: number;
      readonly ns: number;
      readonly busyNs: number;
      readonly faults: number;
      readonly contents: Readonly<Record<string, readonly MapEntry[]>>;
      readonly digest: string;
      readonly guard?: GuardCounts;
      readonly looks?: readonly Look[];
    }
  /** The worker cannot go on, and can still say so. */
  | { readonly kind: "failed"; readonly error: unknown };
