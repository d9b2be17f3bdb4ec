/**
 * Names of header fields (CLI: `ipv4.src`, `l4.dport`), and single bits of them.
 * The table of fields with layers, offsets and sizes is fields.ts.
 */

export type FieldName =
  | "eth.dst"
  | "eth.src"
  | "eth.type"
  | "vlan.id"
  | "vlan.tci"
  | "ipv4.version"
  | "ipv4.ihl"
  | "ipv4.tos"
  | "ipv4.length"
  | "ipv4.id"
  | "ipv4.fragment"
  | "ipv4.ttl"
  | "ipv4.protocol"
  | "ipv4.checksum"
  | "ipv4.src"
  | "ipv4.dst"
  | "ipv6.version"
  | "ipv6.flow-label"
  | "ipv6.length"
  | "ipv6.next-header"
  | "ipv6.hop-limit"
  | "ipv6.src"
  | "ipv6.dst"
  | "tcp.sport"
  | "tcp.dport"
  | "tcp.seq"
  | "tcp.ack"
  | "tcp.flags"
  | "tcp.window"
  | "tcp.checksum"
  | "udp.sport"
  | "udp.dport"
  | "udp.length"
  | "udp.checksum"
  | "icmp.type"
  | "icmp.code"
  | "l4.sport"
  | "l4.dport";

/** One bit of a field; bit 0 is the most significant (network order). */
export interface FieldBit {
  readonly field: FieldName;
  readonly bit: number;
}
