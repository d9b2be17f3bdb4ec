/**
 * The plan: which strategy serves each state object, on how many cores, with
 * which set-up of the NIC, and what differs from the sequential program. Plain
 * data; print.ts and json.ts give its text and JSON.
 */
import type { AccessGuard } from "../analysis/index.ts";
import type { Diagnostic, Place } from "../base/index.ts";
import type { KeySolution, Requirement } from "../rss/index.ts";
import type { KernelGuard } from "./kernel-guard.ts";
import type { Refusal } from "./refusal.ts";

/** Those that exist; others of the vocabulary join when they are built. */
export const strategyNames = [
  "shard",
  "merge",
  "copy",
  "lock",
  "transaction",
  "sequential",
] as const;
export type StrategyName = (typeof strategyNames)[number];

/**
 * How the emitted program keeps an object:
 *
 *   as-is      the map as it was, one for all cores
 *   per-cpu    a map of the type's per-CPU form
 *   sliced     an array of n·k cells, core c has those from n·c on
 *   allocator  shared cells of a chain, each core with a head and a range of its own
 *   table      one array value per core that holds a hash table of the program's own
 *   locked     the map as it was, with a spin lock behind each value
 */
export type Layout =
  "as-is" | "per-cpu" | "sliced" | "allocator" | "table" | "locked";

/** Equal keys, a part of all keys, disjoint, incompatible, interchanged. */
export type Rule = "R1" | "R2" | "R3" | "R4" | "R5";

/** Strongest first. */
export const grades = ["exact", "reordered", "merged", "partitioned"] as const;
export type Grade = (typeof grades)[number];

export interface Port {
  readonly name: string;
  readonly ifindex: number;
}

/** What a strategy makes of one object. */
export interface ObjectPart {
  readonly kind: "part";
  readonly object: string;
  readonly strategy: StrategyName;
  readonly grade: Grade;
  /** One sentence for people. */
  readonly reason: string;
  /** Shard: fields per port by which packets are told apart; empty: any. */
  readonly fields?: readonly PortFields[];
  /** Shard: R1 (equal keys), R2 (a part of the keys that all have), R5 (interchanged). */
  readonly rule?: Rule;
  /** Shard: the two accesses that force the requirement. */
  readonly forcedBy?: readonly [string, string];
  readonly forcedAt?: readonly [Place, Place];
  readonly layout: Layout;
  /** Entries or indices of each core; their sum is the object's capacity. */
  readonly capacities?: readonly number[];
  /** Estimated time per packet that the strategy takes on this object, in ns. */
  readonly cost?: number;
  /** User space sees another layout than in the original. */
  readonly layoutChanged: boolean;
  readonly deviations: readonly Deviation[];
}

export interface PortFields {
  readonly port: string;
  readonly fields: readonly string[];
}

/** A difference from the sequential program that the plan declares. */
export interface Deviation {
  readonly code: string;
  readonly object?: string;
  readonly text: string;
}

/** How packets get to cores. */
export type Dispatch =
  /** Any spreading is right: no object ties packets together. */
  | { readonly kind: "any" }
  | { readonly kind: "nic" }
  | SoftwareDispatch
  | { readonly kind: "one-core" };

/** An XDP stage hashes the true key and redirects through a CPU map. */
export interface SoftwareDispatch {
  readonly kind: "software";
  readonly fields: readonly PortFields[];
  /** Share of a core's packet rate that it costs, as [least, most]. */
  readonly cost: readonly [number, number];
  readonly text: string;
  /** CPU of each entry, balanced for a trace; absent: spread evenly. */
  readonly table?: readonly number[];
}

/** What stands around each packet's run. */
export type Runtime =
  | { readonly kind: "plain" }
  | {
      /**
       * lock: packets that write run alone, all others at the same time;
       * transaction: each runs as if it were alone, and again if it was not.
       */
      readonly kind: "lock" | "transaction";
      /** What it guards: every object of the plan with this strategy. */
      readonly objects: readonly string[];
      /** Packets that may write one of them; absent: any. */
      readonly writers?: readonly AccessGuard[];
    };

/** A table for the packets of a trace; loads are the busiest core's over the mean. */
export interface TableBalance {
  /** The ports that share it. */
  readonly ports: readonly string[];
  readonly packets: number;
  /** Predicted with the table that spreads entries evenly, and with this one. */
  readonly before: number;
  readonly after: number;
  /** Entries that went to another queue. */
  readonly moved: number;
  readonly elephants: readonly Elephant[];
}

/** One key that has more packets than a core's share: no table can spread it. */
export interface Elephant {
  readonly port: string;
  /** `ipv4.src 10.0.0.1`. */
  readonly key: string;
  readonly packets: number;
  readonly share: number;
  /** Of the same packets, those of the largest single flow. */
  readonly flow: number;
  /** The strategy of the cost model that is cheapest with this key; absent: none is cheaper. */
  readonly strategy?: StrategyName;
  /** What would divide a single key, and is not built. */
  readonly notBuilt: "state-compute replication";
}

export interface Rejected {
  readonly strategy: StrategyName | "software-dispatch";
  readonly object?: string;
  readonly reason: string;
  /** Estimated time per packet, in ns. */
  readonly cost?: number;
}

/** Estimated time per packet over all cores, and what it rests on. */
export interface PlanCost {
  readonly nsPerPacket: number;
  /** Load of the busiest core over the mean. */
  readonly busiest: number;
  /** Share of the packets that write what is guarded. */
  readonly writing: number;
  /** Measured or assumed, in words. */
  readonly from: string;
  /** Which result the engine's times are from. */
  readonly source: string;
  /** Absent: assumed. */
  readonly traffic?: MeasuredTraffic;
}

/** What the trace does to the state; shares of the packets that are counted. */
export interface MeasuredTraffic {
  readonly packets: number;
  /** Packets that ran before them and are not counted. */
  readonly warmUp: number;
  /** Packets of the whole trace. */
  readonly ports: readonly {
    readonly name: string;
    readonly packets: number;
  }[];
  readonly largestFlow?: number;
  /** Of the table entries of this plan. */
  readonly largestEntry?: number;
  readonly objects: readonly {
    readonly name: string;
    readonly touched: number;
    readonly written: number;
    /** Nothing but the age of an entry: a write under transactions, none under a lock. */
    readonly refreshed: number;
  }[];
}

/** The whole plan with this object kept by that strategy, and all others as planned. */
export interface ObjectEstimate {
  readonly object: string;
  readonly strategy: StrategyName;
  readonly taken: boolean;
  /** Estimated time per packet, in ns; absent where it is refused. */
  readonly ns?: number;
  /** Code of the refusal. */
  readonly refused?: string;
}

export interface Plan {
  readonly program: string;
  /** What the plan as a whole is called; parts may differ per object. */
  readonly strategy: StrategyName;
  readonly grade: Grade;
  readonly cores: number;
  readonly profile: string;
  readonly ports: readonly Port[];
  readonly objects: readonly ObjectPart[];
  readonly dispatch: Dispatch;
  readonly runtime: Runtime;
  /** What the guard is in the kernel; absent: nothing is guarded. */
  readonly kernel?: KernelGuard;
  /** What sharded objects ask of the NIC; no conjuncts where none is sharded. */
  readonly requirement: Requirement;
  readonly rss?: KeySolution;
  /** Of the tables in `rss`, if they were made for a trace. */
  readonly balance?: readonly TableBalance[];
  readonly cost: PlanCost;
  /** Of objects that need a strategy; absent where nothing was to be chosen. */
  readonly estimates?: readonly ObjectEstimate[];
  /** Why something is guarded or all on one core, said first; absent: nothing is. */
  readonly fallback?: string;
  readonly refusals: readonly Refusal[];
  /** What else would have been possible, and why it was not taken. */
  readonly rejected: readonly Rejected[];
  readonly alternatives: readonly SoftwareDispatch[];
  readonly deviations: readonly Deviation[];
  readonly notes: readonly Diagnostic[];
}

/** The weaker of two grades. */
export function weaker(left: Grade, right: Grade): Grade {
  return grades.indexOf(left) >= grades.indexOf(right) ? left : right;
}
