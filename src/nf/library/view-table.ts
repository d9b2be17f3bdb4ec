/**
 * The fields of the packet views: a row a line. Where they stand comes from the
 * one table of header fields (room packet); here is what they are called, what
 * they are in JavaScript, whether they may be assigned, and which checksum an
 * assignment keeps right. The runtime and the compiler both derive from it.
 */
import {
  fields,
  tcpFlags as flags,
  type FieldName,
} from "../../packet/index.ts";

export type ViewName =
  "eth" | "vlan" | "ipv4" | "ipv6" | "tcp" | "udp" | "icmp" | "l4";

/**
 * What an assignment keeps right: nothing; the IPv4 header's checksum; that and
 * the transport's behind it; the transport's behind an IPv6 header; the
 * transport's own.
 */
export type Fix = "none" | "header" | "header+behind" | "behind" | "own";

export interface ViewField {
  /** First bit, from the start of the view's header, most significant first. */
  readonly bit: number;
  readonly bits: number;
  readonly js: "number" | "bigint" | "boolean";
  /** Undefined: read-only. */
  readonly assign: Fix | undefined;
}

interface Row {
  readonly field: FieldName;
  /** A part of the field: its first bit and the number of bits. */
  readonly part?: readonly [number, number];
  readonly js?: "bigint" | "boolean";
  readonly assign?: Fix;
}

// prettier-ignore
const rows = {
  eth: {
    dst:            { field: "eth.dst", js: "bigint", assign: "none" },
    src:            { field: "eth.src", js: "bigint", assign: "none" },
    type:           { field: "eth.type", assign: "none" },
  },
  vlan: {
    priority:       { field: "vlan.priority" },
    id:             { field: "vlan.id" },
    type:           { field: "vlan.type", assign: "none" },
  },
  ipv4: {
    version:        { field: "ipv4.version" },
    ihl:            { field: "ipv4.ihl" },
    tos:            { field: "ipv4.tos", assign: "header" },
    length:         { field: "ipv4.length", assign: "header" },
    id:             { field: "ipv4.id", assign: "header" },
    flags:          { field: "ipv4.fragment", part: [0, 3] },
    moreFragments:  { field: "ipv4.fragment", part: [2, 1], js: "boolean" },
    // More fragments or an offset: anything of these 14 bits.
    isFragment:     { field: "ipv4.fragment", part: [2, 14], js: "boolean" },
    fragmentOffset: { field: "ipv4.fragment", part: [3, 13] },
    ttl:            { field: "ipv4.ttl", assign: "header" },
    protocol:       { field: "ipv4.protocol", assign: "header" },
    checksum:       { field: "ipv4.checksum", assign: "none" },
    src:            { field: "ipv4.src", assign: "header+behind" },
    dst:            { field: "ipv4.dst", assign: "header+behind" },
  },
  ipv6: {
    version:        { field: "ipv6.version" },
    trafficClass:   { field: "ipv6.traffic-class" },
    flowLabel:      { field: "ipv6.flow-label" },
    length:         { field: "ipv6.length", assign: "none" },
    nextHeader:     { field: "ipv6.next-header", assign: "none" },
    hopLimit:       { field: "ipv6.hop-limit", assign: "none" },
    srcHigh:        { field: "ipv6.src", part: [0, 64], js: "bigint", assign: "behind" },
    srcLow:         { field: "ipv6.src", part: [64, 64], js: "bigint", assign: "behind" },
    dstHigh:        { field: "ipv6.dst", part: [0, 64], js: "bigint", assign: "behind" },
    dstLow:         { field: "ipv6.dst", part: [64, 64], js: "bigint", assign: "behind" },
  },
  tcp: {
    sport:          { field: "tcp.sport", assign: "own" },
    dport:          { field: "tcp.dport", assign: "own" },
    seq:            { field: "tcp.seq", assign: "own" },
    ack:            { field: "tcp.ack", assign: "own" },
    dataOffset:     { field: "tcp.data-offset" },
    flags:          { field: "tcp.flags", assign: "own" },
    isFin:          { field: "tcp.flags", part: [7, 1], js: "boolean" },
    isSyn:          { field: "tcp.flags", part: [6, 1], js: "boolean" },
    isRst:          { field: "tcp.flags", part: [5, 1], js: "boolean" },
    isAck:          { field: "tcp.flags", part: [3, 1], js: "boolean" },
    window:         { field: "tcp.window", assign: "own" },
    checksum:       { field: "tcp.checksum", assign: "none" },
    urgent:         { field: "tcp.urgent", assign: "own" },
  },
  udp: {
    sport:          { field: "udp.sport", assign: "own" },
    dport:          { field: "udp.dport", assign: "own" },
    length:         { field: "udp.length", assign: "own" },
    checksum:       { field: "udp.checksum", assign: "none" },
  },
  icmp: {
    type:           { field: "icmp.type" },
    code:           { field: "icmp.code" },
    checksum:       { field: "icmp.checksum", assign: "none" },
  },
  l4: {
    sport:          { field: "l4.sport", assign: "own" },
    dport:          { field: "l4.dport", assign: "own" },
  },
} as const satisfies Record<ViewName, Record<string, Row>>;

/** By view and name. */
export const viewFields: Readonly<
  Record<ViewName, Readonly<Record<string, ViewField>>>
> = Object.fromEntries(
  Object.entries<Record<string, Row>>(rows).map(([view, members]) => [
    view,
    Object.fromEntries(
      Object.entries(members).map(([name, row]) => [name, derive(row)]),
    ),
  ]),
) as Record<ViewName, Record<string, ViewField>>;

function derive({ field, part, js, assign }: Row): ViewField {
  const { bit, bits } = fields[field];
  const [first, count] = part ?? [0, bits];
  return { bit: bit + first, bits: count, js: js ?? "number", assign };
}

/** Sizes of headers in bytes, without options. */
export const headerSizes = {
  eth: 14,
  vlan: 4,
  ipv4: 20,
  ipv6: 40,
  tcp: 20,
  udp: 8,
  icmp: 8,
} as const;

/** EtherTypes. */
export const etherTypes = {
  ipv4: 0x0800,
  ipv6: 0x86dd,
  vlan: 0x8100,
  serviceVlan: 0x88a8,
} as const;

/** IP protocol numbers. */
export const protocols = { icmp: 1, tcp: 6, udp: 17, icmpv6: 58 } as const;

/** The bits of `tcp.flags`. Written out: the compiler sees this folder only. */
export const tcpFlags: {
  readonly fin: number;
  readonly syn: number;
  readonly rst: number;
  readonly psh: number;
  readonly ack: number;
  readonly urg: number;
  readonly ece: number;
  readonly cwr: number;
} = flags;
