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
  /** Seed of this run's random numbers; default: from the machine's seed and `time`. */
  readonly random?: number;
}

/** Something the program emitted to user space or another program. */
export interface ProgramEvent {
  /** `clone`: a copy of the packet sent out of `ifindex` (bpf_clone_redirect). */
  readonly kind: "perf" | "ringbuf" | "print" | "clone";
  readonly map?: string;
  readonly ifindex?: number;
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
  /** The run ended early; `verdict` is then 0 and state changes up to there stay. */
  readonly fault?: { readonly text: string; readonly at: Place };
  /** Context after the run without its pointers, where programs may write it (not XDP). */
  readonly context?: Uint8Array;
}

/** How a state access ended; what the certificate's coverage counts. */
export type AccessResult = "hit" | "miss" | "full" | "expired";

/** One touch of one cell, as an observer of a run sees it. */
export interface CellTouch {
  readonly map: string;
  /** Key bytes as a hex string; stable identity of the cell. */
  readonly cell: string;
  readonly op:
    "lookup" | "update" | "delete" | "load" | "store" | "atomic" | "other";
  readonly result: AccessResult;
  readonly writes: boolean;
  readonly at: Place;
  /** Of loads, stores and atomics: which bytes of the cell's value (of one CPU's copy). */
  readonly offset?: number;
  readonly size?: number;
}

/** Called during a run; every member is optional and costs only when given. */
export interface Observer {
  readonly touch?: (touch: CellTouch) => void;
  /** A conditional branch of the bytecode was decided. */
  readonly branch?: (at: Place, taken: boolean) => void;
  /** What that branch compared, before it is decided; 32-bit operands zero-extended. */
  readonly compare?: (
    at: Place,
    left: bigint,
    right: bigint,
    width: 32 | 64,
  ) => void;
  readonly instruction?: (at: Place) => void;
  /** A record was handed to a map that user space reads records from, full or not. */
  readonly record?: (at: Place, map: string) => void;
}

/** What the world answers that is neither packet nor state. Every member has a default. */
export interface Environment {
  /**
   * bpf_fib_lookup: the action code and, on 0, what to write. Default: code 4
   * (BPF_FIB_LKUP_RET_NOT_FWDED), nothing written.
   */
  readonly route?: (request: RouteRequest) => RouteAnswer;
  /** MTU of every interface, for bpf_check_mtu and bpf_fib_lookup. Default 1500. */
  readonly mtu?: number;
}

export interface RouteRequest {
  readonly family: number;
  readonly ifindex: number;
  /** 4 or 16 bytes, network order. */
  readonly source: Uint8Array;
  readonly destination: Uint8Array;
  readonly flags: number;
}

export interface RouteAnswer {
  /** BPF_FIB_LKUP_RET_*: 0 is success. */
  readonly code: number;
  readonly ifindex?: number;
  /** Six bytes each. */
  readonly sourceMac?: Uint8Array;
  readonly destinationMac?: Uint8Array;
}
