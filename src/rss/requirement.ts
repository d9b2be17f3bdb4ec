/**
 * What sharding asks of the NIC, in the NIC's own terms: linear forms over header
 * bits. `rss` knows nothing of programs; strategy translates into this.
 */
import type { FieldBit } from "../packet/index.ts";
import {
  canonicalField,
  classes4,
  classes6,
  packetClasses,
  type PacketClass,
} from "./packet-class.ts";

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
  /**
   * The NIC's classes that p and q can belong to, where the program's guards say
   * so. Default: every class whose packets could have the named fields. A program
   * that skips IPv6 extension headers must name other6 beside tcp6.
   */
  readonly classes?: readonly [readonly PacketClass[], readonly PacketClass[]];
}

/** All conjuncts must hold at once; a port that no conjunct names is free. */
export interface Requirement {
  readonly ports: readonly string[];
  readonly conjuncts: readonly Conjunct[];
}

/** The classes of one end of a conjunct, given or derived from the fields it names. */
export function classesOf(
  conjunct: Conjunct,
  end: 0 | 1,
): readonly PacketClass[] {
  const given = conjunct.classes?.[end];
  if (given !== undefined) {
    // A program's "other" protocol may be one that the NIC hashes ports of.
    const extra: PacketClass[] = [];
    if (given.includes("other4")) extra.push("sctp4");
    if (given.includes("other6")) extra.push("sctp6");
    return [...new Set([...given, ...extra])];
  }
  const forms = conjunct.equations.map(({ left, right }) =>
    end === 0 ? left : right,
  );
  const named = forms.flatMap(({ bits }) =>
    bits.map(({ field }) => canonicalField(field)),
  );
  const has4 = named.some((field) => field.startsWith("ipv4."));
  const has6 = named.some((field) => field.startsWith("ipv6."));
  if (has4 && !has6) return classes4;
  if (has6 && !has4) return classes6;
  if (has4 || named.some((field) => field.startsWith("l4.")))
    return [...classes4, ...classes6];
  return packetClasses;
}

/** The ports linked by conjuncts, directly or through others: they share a table. */
export function keyGroups(
  requirement: Requirement,
): readonly (readonly string[])[] {
  const group = new Map(requirement.ports.map((port) => [port, port]));
  for (const { ports } of requirement.conjuncts) {
    const [from, to] = [group.get(ports[0]), group.get(ports[1])];
    if (from === undefined || to === undefined || from === to) continue;
    for (const [port, of] of group) if (of === from) group.set(port, to);
  }
  return [...new Set(group.values())].map((leader) =>
    requirement.ports.filter((port) => group.get(port) === leader),
  );
}
