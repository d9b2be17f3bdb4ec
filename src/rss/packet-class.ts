/**
 * How a NIC sorts packets before it hashes them, and which bits it hashes then.
 *
 * A class names what the NIC's parser saw; the NIC's set-up gives each class its
 * hash fields, in ethtool's letters: s source address, d destination address,
 * f source port, n destination port; "" is no hash. The hash input is the
 * concatenation of the chosen fields in the order s d f n, most significant bit
 * first, so that "s", "sd" and "sdf" are prefixes of "sdfn".
 *
 *   class      frame
 *   tcp4       IPv4, TCP, no fragment       (udp4, sctp4 likewise)
 *   fragment4  IPv4, a fragment, the first one included
 *   other4     IPv4, any other protocol
 *   tcp6 …     IPv6, the transport directly behind the fixed header
 *   other6     IPv6, anything else, extension headers included
 *   non-ip     everything else, malformed IP headers included
 *
 * A NIC looks behind so many VLAN tags as its profile says (at most two); a frame with
 * more is non-ip to it, whatever a program finds there. Not modelled: NICs that look behind IPv6
 * extension headers or into tunnels, and bad checksums.
 */
import type { FieldBit, FieldName, ParsedFrame } from "../packet/index.ts";

// prettier-ignore
export const packetClasses = [
  "tcp4", "udp4", "sctp4", "other4", "fragment4",
  "tcp6", "udp6", "sctp6", "other6", "fragment6", "non-ip",
] as const;

export type PacketClass = (typeof packetClasses)[number];

export type HashFields = `${"s" | ""}${"d" | ""}${"f" | ""}${"n" | ""}`;

/** Per class what is hashed; null: not known, so nothing may rest on it. */
export type ClassFields = Readonly<Record<PacketClass, HashFields | null>>;

/** Per class what may be hashed: one of these, and a key must serve all. */
export type ClassInputs = Readonly<
  Record<PacketClass, readonly HashFields[] | null>
>;

export const classes4 = packetClasses.filter((name) => name.endsWith("4"));
export const classes6 = packetClasses.filter((name) => name.endsWith("6"));

export function isPacketClass(text: string): text is PacketClass {
  return (packetClasses as readonly string[]).includes(text);
}

export function isHashFields(text: string): text is HashFields {
  return /^s?d?f?n?$/.test(text);
}

/** The class of a parsed frame, outermost headers, behind at most so many VLAN tags. */
export function classOf(parsed: ParsedFrame, vlanTags = 2): PacketClass {
  const { l3, l4, fragment, vlans } = parsed;
  if (vlans.length > vlanTags) return "non-ip";
  if (l3 === "ipv4") {
    if ((parsed.ihl ?? 0) < 5) return "non-ip";
    if (fragment !== "none") return "fragment4";
    if (l4 === "tcp" || l4 === "udp" || l4 === "sctp") return `${l4}4`;
    return "other4";
  }
  if (l3 === "ipv6") {
    if (fragment !== "none") return "fragment6";
    const direct = parsed.l4Offset === (parsed.l3Offset ?? 0) + 40;
    if (direct && (l4 === "tcp" || l4 === "udp" || l4 === "sctp"))
      return `${l4}6`;
    return "other6";
  }
  return "non-ip";
}

/** Number of input bits. */
export function inputLength(name: PacketClass, hashed: HashFields): number {
  const width = name.endsWith("6") ? 128 : 32;
  let length = 0;
  for (const letter of hashed)
    length += letter === "s" || letter === "d" ? width : 16;
  return length;
}

/** The input bits of a class's hash, in hash order. */
export function hashInput(
  name: PacketClass,
  hashed: HashFields,
): readonly FieldBit[] {
  const version = name.endsWith("6") ? "ipv6" : "ipv4";
  const width = version === "ipv6" ? 128 : 32;
  // prettier-ignore
  const parts: readonly (readonly [string, FieldName, number])[] = [
    ["s", `${version}.src`, width],
    ["d", `${version}.dst`, width],
    ["f", "l4.sport", 16],
    ["n", "l4.dport", 16],
  ];
  return parts
    .filter(([letter]) => hashed.includes(letter))
    .flatMap(([, field, bits]) =>
      Array.from({ length: bits }, (_, bit) => ({ field, bit })),
    );
}

/** One name for bits that stand at the same place of every transport's header. */
export function canonicalField(field: FieldName): FieldName {
  if (field === "tcp.sport" || field === "udp.sport") return "l4.sport";
  if (field === "tcp.dport" || field === "udp.dport") return "l4.dport";
  return field;
}
