/**
 * Keys and tables for the ports of a requirement: a value that prints as JSON.
 */
import type { ClassFields, HashFields, PacketClass } from "./packet-class.ts";
import type { Imbalance } from "./quality.ts";
import type { IndirectionTable } from "./table.ts";

export interface PortKey {
  readonly name: string;
  /** Hexadecimal, as long as the NIC's key. */
  readonly key: string;
  /** What the NIC hashes, per class. */
  readonly fields: ClassFields;
  /** The classes to set with `ethtool -N`, and to what. */
  readonly set: readonly {
    readonly class: PacketClass;
    readonly fields: HashFields;
  }[];
  /** 2 to the rank is the number of table entries the key reaches. */
  readonly rank: number;
  readonly imbalance: Imbalance;
  /** Key bits that some condition constrains: flipping one alone breaks the key. */
  readonly constrained: readonly number[];
}

/** Ports that some conjunct links share one table, never one each. */
export interface KeyGroup {
  readonly ports: readonly string[];
  readonly table: IndirectionTable;
  /** Table entries that some packet reaches. */
  readonly reachable: number;
}

export interface KeySolution {
  readonly kind: "solution";
  readonly profile: string;
  readonly mode: "index" | "full";
  readonly tableBits: number;
  readonly cores: number;
  readonly ports: readonly PortKey[];
  readonly groups: readonly KeyGroup[];
  /** Dimension of the null space over all ports' key bits. */
  readonly freeBits: number;
  readonly keyBits: number;
  /** Of the worst port. */
  readonly rank: number;
  readonly entries: number;
  /** Of the worst port. */
  readonly imbalance: Imbalance;
  readonly seed: number;
  readonly samples: number;
  readonly doubts: readonly string[];
}
