/**
 * The one table of header fields: a row a line. `bit` counts from the start of the
 * layer's header, most significant bit first, as RFC pictures do; where a layer
 * starts in a frame is parse.ts's business.
 *
 * A name without prefix means the outermost header of its kind: `ipv4.src` of a
 * VXLAN packet is the tunnel's address. `vlan` is the outermost tag, `vlan2` the
 * one after it; `eth.type` is what stands at byte 12, so 0x8100 on a tagged frame
 * (ParsedFrame.etherType is the one behind the tags). `l4` is TCP, UDP or SCTP:
 * `l4.sport` and `tcp.sport` are the same bits. `icmp` is ICMP and ICMPv6. `inner.`
 * means the packet in the outermost tunnel (VXLAN, GRE, GTP-U, IP in IP); no NIC of
 * ours hashes it.
 *
 * Sources: IEEE 802.3, 802.1Q; RFC 826, 791, 8200, 9293, 768, 792, 2784, 2890, 7348; 3GPP TS 29.281.
 */
import type { FieldBit, FieldName } from "./field.ts";

export type Layer =
  | "eth"
  | "vlan"
  | "vlan2"
  | "arp"
  | "ipv4"
  | "ipv6"
  | "tcp"
  | "udp"
  | "icmp"
  | "gre"
  /** The optional key word of GRE, wherever it stands. */
  | "gre-key"
  | "vxlan"
  | "gtp"
  | "inner-eth"
  | "inner-ipv4"
  | "inner-ipv6"
  | "inner-l4"
  /** Ports of whatever transport has them. */
  | "l4";

export interface FieldRow {
  readonly layer: Layer;
  /** First bit, from the start of the layer's header. */
  readonly bit: number;
  readonly bits: number;
}

// prettier-ignore
export const fields: Readonly<Record<FieldName, FieldRow>> = {
  "eth.dst":            { layer: "eth",     bit:   0, bits:  48 },
  "eth.src":            { layer: "eth",     bit:  48, bits:  48 },
  "eth.type":           { layer: "eth",     bit:  96, bits:  16 },
  "vlan.tci":           { layer: "vlan",    bit:   0, bits:  16 },
  "vlan.priority":      { layer: "vlan",    bit:   0, bits:   3 },
  "vlan.id":            { layer: "vlan",    bit:   4, bits:  12 },
  "vlan.type":          { layer: "vlan",    bit:  16, bits:  16 },
  "vlan2.tci":          { layer: "vlan2",   bit:   0, bits:  16 },
  "vlan2.id":           { layer: "vlan2",   bit:   4, bits:  12 },
  "vlan2.type":         { layer: "vlan2",   bit:  16, bits:  16 },
  "arp.op":             { layer: "arp",     bit:  48, bits:  16 },
  "arp.sender-mac":     { layer: "arp",     bit:  64, bits:  48 },
  "arp.sender-ip":      { layer: "arp",     bit: 112, bits:  32 },
  "arp.target-mac":     { layer: "arp",     bit: 144, bits:  48 },
  "arp.target-ip":      { layer: "arp",     bit: 192, bits:  32 },
  "ipv4.version":       { layer: "ipv4",    bit:   0, bits:   4 },
  "ipv4.ihl":           { layer: "ipv4",    bit:   4, bits:   4 },
  "ipv4.tos":           { layer: "ipv4",    bit:   8, bits:   8 },
  "ipv4.length":        { layer: "ipv4",    bit:  16, bits:  16 },
  "ipv4.id":            { layer: "ipv4",    bit:  32, bits:  16 },
  "ipv4.fragment":      { layer: "ipv4",    bit:  48, bits:  16 },
  "ipv4.ttl":           { layer: "ipv4",    bit:  64, bits:   8 },
  "ipv4.protocol":      { layer: "ipv4",    bit:  72, bits:   8 },
  "ipv4.checksum":      { layer: "ipv4",    bit:  80, bits:  16 },
  "ipv4.src":           { layer: "ipv4",    bit:  96, bits:  32 },
  "ipv4.dst":           { layer: "ipv4",    bit: 128, bits:  32 },
  "ipv6.version":       { layer: "ipv6",    bit:   0, bits:   4 },
  "ipv6.traffic-class": { layer: "ipv6",    bit:   4, bits:   8 },
  "ipv6.flow-label":    { layer: "ipv6",    bit:  12, bits:  20 },
  "ipv6.length":        { layer: "ipv6",    bit:  32, bits:  16 },
  "ipv6.next-header":   { layer: "ipv6",    bit:  48, bits:   8 },
  "ipv6.hop-limit":     { layer: "ipv6",    bit:  56, bits:   8 },
  "ipv6.src":           { layer: "ipv6",    bit:  64, bits: 128 },
  "ipv6.dst":           { layer: "ipv6",    bit: 192, bits: 128 },
  "tcp.sport":          { layer: "tcp",     bit:   0, bits:  16 },
  "tcp.dport":          { layer: "tcp",     bit:  16, bits:  16 },
  "tcp.seq":            { layer: "tcp",     bit:  32, bits:  32 },
  "tcp.ack":            { layer: "tcp",     bit:  64, bits:  32 },
  "tcp.data-offset":    { layer: "tcp",     bit:  96, bits:   4 },
  "tcp.flags":          { layer: "tcp",     bit: 104, bits:   8 },
  "tcp.window":         { layer: "tcp",     bit: 112, bits:  16 },
  "tcp.checksum":       { layer: "tcp",     bit: 128, bits:  16 },
  "tcp.urgent":         { layer: "tcp",     bit: 144, bits:  16 },
  "udp.sport":          { layer: "udp",     bit:   0, bits:  16 },
  "udp.dport":          { layer: "udp",     bit:  16, bits:  16 },
  "udp.length":         { layer: "udp",     bit:  32, bits:  16 },
  "udp.checksum":       { layer: "udp",     bit:  48, bits:  16 },
  "icmp.type":          { layer: "icmp",    bit:   0, bits:   8 },
  "icmp.code":          { layer: "icmp",    bit:   8, bits:   8 },
  "icmp.checksum":      { layer: "icmp",    bit:  16, bits:  16 },
  "icmp.id":            { layer: "icmp",    bit:  32, bits:  16 },
  "icmp.sequence":      { layer: "icmp",    bit:  48, bits:  16 },
  "gre.flags":          { layer: "gre",     bit:   0, bits:  16 },
  "gre.protocol":       { layer: "gre",     bit:  16, bits:  16 },
  "gre.key":            { layer: "gre-key", bit:   0, bits:  32 },
  "vxlan.flags":        { layer: "vxlan",   bit:   0, bits:   8 },
  "vxlan.vni":          { layer: "vxlan",   bit:  32, bits:  24 },
  "l4.sport":           { layer: "l4",      bit:   0, bits:  16 },
  "l4.dport":           { layer: "l4",      bit:  16, bits:  16 },
  "gtp.flags":             { layer: "gtp",        bit:   0, bits:   8 },
  "gtp.type":              { layer: "gtp",        bit:   8, bits:   8 },
  "gtp.length":            { layer: "gtp",        bit:  16, bits:  16 },
  "gtp.teid":              { layer: "gtp",        bit:  32, bits:  32 },
  "inner.eth.dst":         { layer: "inner-eth",  bit:   0, bits:  48 },
  "inner.eth.src":         { layer: "inner-eth",  bit:  48, bits:  48 },
  "inner.eth.type":        { layer: "inner-eth",  bit:  96, bits:  16 },
  "inner.ipv4.version":    { layer: "inner-ipv4", bit:   0, bits:   4 },
  "inner.ipv4.ihl":        { layer: "inner-ipv4", bit:   4, bits:   4 },
  "inner.ipv4.tos":        { layer: "inner-ipv4", bit:   8, bits:   8 },
  "inner.ipv4.fragment":   { layer: "inner-ipv4", bit:  48, bits:  16 },
  "inner.ipv4.protocol":   { layer: "inner-ipv4", bit:  72, bits:   8 },
  "inner.ipv4.src":        { layer: "inner-ipv4", bit:  96, bits:  32 },
  "inner.ipv4.dst":        { layer: "inner-ipv4", bit: 128, bits:  32 },
  "inner.ipv6.next-header": { layer: "inner-ipv6", bit:  48, bits:   8 },
  "inner.ipv6.src":        { layer: "inner-ipv6", bit:  64, bits: 128 },
  "inner.ipv6.dst":        { layer: "inner-ipv6", bit: 192, bits: 128 },
  "inner.l4.sport":        { layer: "inner-l4",   bit:   0, bits:  16 },
  "inner.l4.dport":        { layer: "inner-l4",   bit:  16, bits:  16 },
};

export const fieldNames = Object.keys(fields) as readonly FieldName[];

export function isFieldName(text: string): text is FieldName {
  return Object.hasOwn(fields, text);
}

/** Every bit of a field, most significant first. */
export function fieldBits(field: FieldName): readonly FieldBit[] {
  let bits = bitsOf.get(field);
  if (bits === undefined) {
    bits = Array.from({ length: fields[field].bits }, (_, bit) => ({
      field,
      bit,
    }));
    bitsOf.set(field, bits);
  }
  return bits;
}

const bitsOf = new Map<FieldName, readonly FieldBit[]>();
