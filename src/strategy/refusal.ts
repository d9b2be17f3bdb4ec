/**
 * Why a strategy cannot be used on an object: stable code, place, the obligation
 * that failed, the accesses it rests on, and an edit that would help.
 *
 *   R3-disjoint        each pair of accesses could meet, all together allow no hash
 *   R4-constant-key    every packet uses the same cell
 *   R4-mac R4-vlan     the key is made of bits that no NIC hashes
 *   R4-unhashable      the same, other header fields
 *   R4-payload         … or of bytes that are no header field on every path
 *   R4-state-derived   … or of what another cell holds
 *   R4-environment     … or of time, random numbers, CPU, queue or length
 *   R4-opaque          … or it is no linear function of packet bits, or unknown
 *   R4-iterate R4-other  an operation that may touch any cell
 *   R5-…               an index from the packet whose test can be told from a miss
 *   R-vlan-tags        the NIC does not look behind so many VLAN tags
 *   R-capacity         fewer indices than cores
 *   R-layout           the program does not let its look-ups be changed
 *   R-user-writes      user space writes what would become a core's own
 *   R-family           it goes the way of the object that it belongs to
 *   R-written          a read-only copy of what the program writes
 *   R-old-value-used   a merge of what somebody looks at
 *   R-global-data      a merge of a variable, which no per-CPU map can replace
 *   R-merge-type       a merge of a map type that has no per-CPU form
 *   R-lock-…           no lock in the kernel (helper, two, shape, pointer, type)
 *   R-tail-call        the program goes on elsewhere
 *   rss-…              the NIC (codes of rss)
 */
import type { AccessOp } from "../analysis/index.ts";
import type { Place } from "../base/index.ts";
import type { StrategyName } from "./plan.ts";

/** One of the accesses that a refusal rests on. */
export interface RefusedAccess {
  readonly object: string;
  readonly op: AccessOp;
  readonly key: string;
  readonly guard: string;
  readonly at: Place;
}

export interface Refusal {
  readonly kind: "refusal";
  readonly object: string;
  readonly strategy: StrategyName;
  readonly code: string;
  readonly text: string;
  readonly at?: Place;
  readonly obligation: string;
  /** Places of the accesses that the refusal rests on. */
  readonly slice: readonly Place[];
  /** The accesses that meet, one or two of them. */
  readonly accesses?: readonly RefusedAccess[];
  /** Which packets may touch one cell: `two with equal ipv4.src`. */
  readonly conjunct?: string;
  /** What the user may change. */
  readonly edit: string;
}

export function refuse(
  code: string,
  refusal: Omit<Refusal, "kind" | "code">,
): Refusal {
  return { kind: "refusal", code, ...refusal };
}
