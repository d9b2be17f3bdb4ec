/**
 * How an emitted object parts its state over cores, as the check is told it, and what a
 * run on the parts came to. Which core owns what is not here: cores come from frames.
 */
import type { Place } from "../base/index.ts";
import type { Outcome, PacketInput, State } from "../interp/index.ts";
import type { AllocatorCheck } from "./chain-view.ts";
import type { Lane, Mismatch } from "./compare.ts";
import type { RunRecord } from "./record.ts";
import type { TouchNotes } from "./touch-notes.ts";

/** How the state is parted, as the emitted object has it. */
export interface Partition {
  readonly allocators: readonly AllocatorCheck[];
  /** Entries of each core, by map, where they are not all. */
  readonly capacities: ReadonlyMap<string, readonly number[]>;
  /** Arrays that each core has a copy of, keyed by a hash: keys may collide in them. */
  readonly sketches: ReadonlySet<string>;
  /** The packet bits that a sketch's cells are a hash of, as text: what owns a cell. */
  readonly sketchKey?: (map: string, packet: PacketInput) => string;
  /** Lanes of maps that are merged. */
  readonly merged: ReadonlyMap<string, readonly Lane[]>;
  /** Maps under a guard: one of each for all cores. */
  readonly shared: ReadonlySet<string>;
  readonly aim?: Aim;
}

/** Packets that name an index of a chain by a port number: a NAT's replies. */
export interface Aim {
  readonly chain: string;
  readonly isAimed: (packet: PacketInput) => boolean;
  /** May such a packet touch there what is another's, since it learns nothing? Default: no. */
  readonly isDischarged?: (at: Place) => boolean;
  /** Byte offsets of the ports and of the checksum over them. */
  readonly words: (frame: Uint8Array) =>
    | {
        readonly source: number;
        readonly destination: number;
        readonly checksum?: number;
      }
    | undefined;
}

/** One packet in pass 1. */
export interface WholeRun {
  readonly input: PacketInput;
  readonly outcome: Outcome;
  readonly notes: TouchNotes;
  /** What it left behind. */
  readonly state: State;
}

export interface Judged {
  readonly mismatches: number;
  readonly capacityDeviation: number;
  readonly collisionDeviation: number;
  readonly first: readonly Mismatch[];
  /** The packets as the cores got them, and what became of each. */
  readonly packets: readonly PacketInput[];
  readonly record: RunRecord;
  readonly states: readonly State[];
  readonly written: ReadonlyMap<string, ReadonlySet<string>>;
}

/** Core of a packet, by its number in the episode and its frame. */
export type CoreOf = (index: number, packet: PacketInput) => number;
