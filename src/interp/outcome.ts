/**
 * What goes into one run of a program on one packet and what comes out. The
 * environment (time, random, cpu, queue) is an input: a run is a function of
 * these values and of the state. Every engine speaks in these types.
 */
import type { Place } from "../base/index.ts";

/** One packet with its environment. */
export interface PacketInput {
  /** The frame from the Ethernet header on. Not modified by a run. */
  readonly data: Uint8Array;
  /** Interface index of the ingress port. */
  readonly ifindex: number;
  readonly rxQueue: number;
  readonly cpu: number;
  /** Nanoseconds; what bpf_ktime_get_ns returns. */
  readonly time: bigint;
}

/** Something the program emitted to user space or another program. */
export interface ProgramEvent {
  readonly kind: "perf" | "ringbuf" | "print";
  readonly map?: string;
  readonly data: Uint8Array;
}

/** Where a redirect verdict sends the packet. */
export interface RedirectTarget {
  /** Interface index, or the map and key of a bpf_redirect_map. */
  readonly ifindex?: number;
  readonly map?: string;
  readonly key?: number;
  readonly flags: bigint;
}

export interface Outcome {
  /** r0, unsigned 32 bits. */
  readonly verdict: number;
  /** The frame after the run. */
  readonly data: Uint8Array;
  readonly redirect?: RedirectTarget;
  readonly events: readonly ProgramEvent[];
}

/** How a state access ended; what the certificate's coverage counts. */
export type AccessResult = "hit" | "miss" | "full" | "expired";

/** One touch of one cell, as an observer of a run sees it. */
export interface CellTouch {
  readonly map: string;
  /** Key bytes as a hex string; stable identity of the cell. */
  readonly cell: string;
  readonly op:
    | "lookup"
    | "update"
    | "delete"
    | "load"
    | "store"
    | "atomic"
    | "other";
  readonly result: AccessResult;
  readonly writes: boolean;
  readonly at: Place;
}

/** Called during a run; every member is optional and costs only when given. */
export interface Observer {
  readonly touch?: (touch: CellTouch) => void;
  /** A conditional branch of the bytecode was decided. */
  readonly branch?: (at: Place, taken: boolean) => void;
  readonly instruction?: (at: Place) => void;
}
