/** What the table's thread and a rebalancing worker say to each other. */
import type { MapEntry } from "../../../interp/index.ts";
import type { ProgramSpec } from "../../../isa/index.ts";
import type { PackedParts } from "../packed-packets.ts";
import type { LoadOptions, PreparedProgram } from "../prepare.ts";
import type { PacketNotes } from "./core-run.ts";
import type { Handover, RebalanceMutant } from "./lane.ts";
import type { MovingParts } from "./moving-table.ts";
import type { MovedRecords, RecordPlan } from "./records.ts";

/**
 * The words of one worker, on lines of their own: packets sent and taken (indices of
 * its ring, which counts on), letters sent, and a bell for a worker that sleeps.
 */
export const laneWord = { head: 0, tail: 32, letters: 64, bell: 96 } as const;
export const laneBytes = 4 * 128;

/** Packets that a worker may be behind; a power of two. */
export const ringSize = 4096;

export interface RebalanceStart {
  readonly core: number;
  readonly program: ProgramSpec;
  readonly prepared: PreparedProgram;
  readonly load: Omit<LoadOptions, "tamper" | "beforeHelper" | "environment">;
  readonly packets: PackedParts;
  readonly notes: PacketNotes;
  readonly moving: MovingParts;
  readonly entries: SharedArrayBuffer;
  readonly plan: RecordPlan;
  readonly words: SharedArrayBuffer;
  readonly ring: SharedArrayBuffer;
  readonly mutant?: RebalanceMutant;
}

/** `behind`: packets that the core takes before. */
export type ToLane =
  | {
      readonly kind: "fence";
      readonly move: number;
      readonly to: number;
      readonly entries: readonly number[];
      readonly behind: number;
      /** For the hand-over, at the destination. */
      readonly behindTo: number;
    }
  | {
      readonly kind: "handover";
      readonly handover: Handover<MovedRecords>;
      readonly behind: number;
    }
  | { readonly kind: "close" };

export type FromLane =
  | {
      readonly kind: "handover";
      readonly handover: Handover<MovedRecords>;
      readonly behind: number;
    }
  | { readonly kind: "settled"; readonly move: number }
  | {
      readonly kind: "finished";
      readonly count: number;
      readonly contents: Readonly<Record<string, readonly MapEntry[]>>;
    }
  | { readonly kind: "failed"; readonly error: unknown };
