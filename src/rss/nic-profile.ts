/**
 * What divisi knows of a NIC's receive-side scaling, as data.
 *
 * `null` is "not known": nothing is built on it. `doubts` names the members that
 * rest on memory or on one source only; `rss solve` and the plan repeat them.
 */
import type { HashFields, PacketClass } from "./packet-class.ts";

/**
 * Hash fields of a class, the driver's default first; null: not known. Where the
 * class is settable these are the choices; where it is not, and several stand
 * here, it is one of them and a key must serve all.
 */
export type FieldChoices = readonly HashFields[] | null;

export interface NicProfile {
  readonly name: string;
  readonly title: string;
  /** false: no hash at all (veth); the members below are then without meaning. */
  readonly rss: boolean;
  readonly keyBytes: number;
  readonly tableEntries: number;
  /** Queues that the table can name; absent: not known. */
  readonly queues?: number;
  /** "low": entry = hash mod table size, known for sure. "unsure": full mode only. */
  readonly indexRule: "low" | "unsure";
  /** A class that is not named has no hash. */
  readonly inputs: Readonly<Partial<Record<PacketClass, FieldChoices>>>;
  /** Classes whose fields `ethtool -N … rx-flow-hash` changes. */
  readonly settable: readonly PacketClass[];
  /** VLAN tags that its parser looks behind; what has more is `non-ip` to it. */
  readonly vlanTags: 0 | 1 | 2 | null;
  readonly keySettable: boolean | null;
  /** What the driver does to the input by default; all but none must be switched off. */
  readonly transform: "none" | "symmetric-or-xor";
  readonly ntuple: boolean | null;
  /** Separate tables (RSS contexts) per port. */
  readonly tables: number | null;
  /** Names in /proc/interrupts, {iface} {device} {queue} replaced; first that exists. */
  readonly irqNames: readonly string[];
  readonly sources: readonly string[];
  readonly doubts: readonly string[];
}
