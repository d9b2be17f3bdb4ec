/**
 * What sharding asks of the NIC, in the NIC's own terms: linear forms over header
 * bits. `rss` knows nothing of programs; strategy translates into this.
 */
import type { FieldBit } from "../packet/index.ts";

/** XOR of packet bits and a constant. */
export interface LinearForm {
  readonly bits: readonly FieldBit[];
  readonly constant: 0 | 1;
}

/**
 * Packets p on `ports[0]` and q on `ports[1]` that satisfy all equations
 * `left(p) = right(q)` must reach the same queue. No equations: all pairs must.
 */
export interface Conjunct {
  readonly ports: readonly [string, string];
  readonly equations: readonly {
    readonly left: LinearForm;
    readonly right: LinearForm;
  }[];
}

/** All conjuncts must hold at once; a port that no conjunct names is free. */
export interface Requirement {
  readonly ports: readonly string[];
  readonly conjuncts: readonly Conjunct[];
}
