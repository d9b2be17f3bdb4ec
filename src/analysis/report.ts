/**
 * The state report: per state object every access with the provenance of its key,
 * in terms that strategy can turn into requirements on the NIC.
 *
 * Sound in one direction: what is not understood is `opaque` or `unknown`, which
 * is always a correct answer and leads to a refusal.
 */
import type { Diagnostic, Place } from "../base/index.ts";
import type { MapTypeName } from "../isa/index.ts";
import type { FieldBit } from "../packet/index.ts";

/** One bit of a key: XOR of packet bits and a constant, or something else. */
export type KeyBit =
  | {
      readonly kind: "linear";
      readonly bits: readonly FieldBit[];
      readonly constant: 0 | 1;
    }
  | {
      readonly kind: "opaque";
      /** Why it is no linear form of header bits. */
      readonly why: OpaqueReason;
    };

export type OpaqueReason =
  /** A packet byte that is no header field known to the NIC's parser. */
  | { readonly kind: "payload"; readonly text: string }
  | {
      readonly kind: "environment";
      readonly what: "time" | "random" | "cpu" | "queue" | "length" | "ifindex";
    }
  /** Loaded from that object's cell (its id in the report), selected by that key. */
  | { readonly kind: "state"; readonly object: string; readonly key?: Key }
  | {
      readonly kind: "nonlinear";
      readonly text: string;
      /**
       * It is a function of exactly these packet bits and constants, named in the
       * order in which the expression uses them: the same function of swapped
       * arguments has them swapped. Absent: not known to be one.
       */
      readonly of?: readonly FieldBit[];
    }
  | { readonly kind: "unknown"; readonly text: string };

/**
 * The index allocator whose cells an array has: recognised by its functions' names
 * and by trial (analysis/allocator.ts), never by its names alone.
 */
export interface Allocator {
  /** The library's chain, `nf_chain.h` in C: one array, cell 0 is its head. */
  readonly role: "chain";
  /** Hash map from which the key of a reclaimed cell is deleted. */
  readonly entries?: string;
  readonly capacity: number;
  /** Nanoseconds without use after which an index may be reclaimed; absent where `evictsOldest`. */
  readonly expiry?: bigint;
  /** A full allocator takes the oldest index, expired or not. */
  readonly evictsOldest: boolean;
  readonly cellSize: number;
  /** Where in a cell the key of its entry stands. */
  readonly keyOffset?: number;
  readonly functions: {
    readonly allocate: string;
    readonly refresh?: string;
    readonly free?: string;
  };
  readonly tried: { readonly operations: number; readonly seed: number };
}

/** Key of an access, most significant bit of byte 0 first (network order of the key's bytes). */
export interface Key {
  readonly bits: readonly KeyBit[];
  /** For people: `ipv4.src`, `{ipv4.src, ipv4.dst, l4.sport, l4.dport, ipv4.protocol}`, `0`. */
  readonly text: string;
}

export type AccessOp =
  | "lookup"
  | "read"
  | "write"
  | "add"
  | "update"
  | "delete"
  | "iterate"
  | "other";

/** Packets on which an access can happen; absent members are unconstrained. */
export interface AccessGuard {
  /** Ingress ifindex values, if tests of ctx->ingress_ifindex restrict them. */
  readonly ifindex?: readonly number[];
  /** … or those it is known not to be. */
  readonly notIfindex?: readonly number[];
  /** EtherType values (host order). */
  readonly etherTypes?: readonly number[];
  /** VLAN tags in front of them; where paths differ, the most. Absent: none. */
  readonly tags?: number;
  readonly protocols?: readonly number[];
  /** True: only unfragmented packets get here. */
  readonly unfragmented: boolean;
  /** True: header length is known to be 5 words, or honoured. */
  readonly ipHeaderHonoured: boolean;
  /** True: an IP header that is cut short, or IPv4 that says fewer than 5 words, does not get here. */
  readonly wellFormed?: boolean;
  /** True: the four bytes of the ports are in the frame. */
  readonly portsPresent?: boolean;
  readonly text: string;
}

export interface Access {
  /** Stable in the report: `a0`, `a1`. */
  readonly id: string;
  readonly op: AccessOp;
  readonly key: Key;
  readonly guard: AccessGuard;
  /** For add: is the old value used by anything? For read: does its value reach more than its own cell? */
  readonly valueUsed: boolean;
  /** Atomic instruction or under the object's spin lock. */
  readonly atomic: boolean;
  /** Which bytes of the value: first byte and size, where one instruction touches them. */
  readonly bytes?: { readonly offset: number; readonly size: number };
  /** How many bytes that instruction touches, wherever they are. */
  readonly width?: number;
  /**
   * The key is the index that an allocator gave the entry of `object` under `key`:
   * one index for one key.
   */
  readonly through?: { readonly object: string; readonly key: Key };
  /**
   * The cell is of the core's own allocator by construction: touched by the
   * allocator's functions, the head of its list, the index that the packet was just
   * given, or one that such a cell names.
   */
  readonly own?: "function" | "head" | "fresh" | "link";
  /** The access is what a call of this function of an allocator does to its index. */
  readonly callee?: string;
  readonly at: Place;
}

/**
 * An index that comes from a packet p, whose cell holds what packet q stored: the
 * program compares g(p) with f(q) before anything depends on the index.
 */
export interface Interchange {
  /** Id of the access whose index is from the packet. */
  readonly access: string;
  /** g(p). */
  readonly packet: Key;
  /** f(q), bit by bit what g(p) is compared with. */
  readonly stored: Key;
  /** The packets q; absent: those that make entries. */
  readonly storedBy?: AccessGuard;
  /**
   * "Not allocated" and "compared unequal" have the same verdict and output and
   * change no state, so that a cell that is out of reach makes no difference.
   */
  readonly holds: boolean;
  /** Why it does not. */
  readonly reason?: {
    readonly code: string;
    readonly text: string;
    readonly at: Place;
  };
}

export type ObjectAccess =
  "none" | "read-only" | "add-only" | "read-write" | "per-cpu";

export interface StateObject {
  readonly name: string;
  readonly type: MapTypeName;
  readonly access: ObjectAccess;
  /** An array indexed by CPU id: sharded by hand already. */
  readonly cpuIndexed: boolean;
  /** A way out for records (perf buffer, ring buffer): no program reads it. */
  readonly channel?: boolean;
  /** Global variables of the program (.bss, .data), not a declared map. */
  readonly global?: boolean;
  /** 0 = user space sizes it. */
  readonly maxEntries?: number;
  /** Why it has to stay a map of its type: `its values hold a spin lock`. */
  readonly fixedType?: string;
  /** User space writes it at run time (`--user-writes`, or cannot be excluded). */
  readonly userWrites: boolean;
  /** Its cells are those of an index allocator. */
  readonly allocator?: Allocator;
  readonly accesses: readonly Access[];
  /** All its keys are made of indices of that allocator: its cells follow them. */
  readonly indexedBy?: string;
  readonly interchanges?: readonly Interchange[];
}

export type CoreNumber = "cpu" | "queue";

export interface StateReport {
  readonly program: string;
  readonly instructions: number;
  readonly objects: readonly StateObject[];
  /** Findings of the race lint on the sequential program. */
  readonly races: readonly Race[];
  /** Does the program test on which port a packet came in? */
  readonly testsPort?: boolean;
  /** Ingress ifindex values that its tests name, ascending. */
  readonly testedPorts?: readonly number[];
  /** Numbers it reads that each core has another of. */
  readonly coreNumbers?: readonly CoreNumber[];
  /** Things the analysis could not follow, with what it assumed. */
  readonly notes: readonly Diagnostic[];
}

export interface Race {
  readonly object: string;
  readonly kind: "lost-update" | "check-then-act" | "unlocked-write";
  readonly at: readonly Place[];
  readonly text: string;
}
