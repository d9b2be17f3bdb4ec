/**
 * Where the headers of a frame are. Any bytes are accepted: what is missing or
 * malformed is simply absent from the result, nothing is ever thrown.
 *
 *   eth [vlan [vlan2]] ipv4 (IHL words) | ipv6 [extension headers…] | arp
 *       tcp | udp [vxlan | gtp-u] | icmp | gre
 *
 * An EtherType decides the layer, as NIC parsers do; the IP version nibble and the
 * IP length fields are not compared with it. At most two VLAN tags are followed.
 * `l4Offset` is set only where the first four bytes of the transport header (the
 * ports) lie inside the frame, the header before is well-formed, and the packet is
 * no later fragment. An IPv6 packet with a fragment header of offset 0 is a first
 * fragment even if it is the only one (RFC 6946): NICs hash it as a fragment.
 *
 * Sources: IEEE 802.1Q, RFC 791, RFC 8200 section 4, RFC 2890, RFC 7348,
 * 3GPP TS 29.281 section 5.
 */

export type L3 = "ipv4" | "ipv6" | "arp";
export type L4 = "tcp" | "udp" | "sctp" | "icmp" | "icmpv6" | "gre" | "other";
export type Fragment = "none" | "first" | "later";

/** What the outermost IP header carries another packet in. */
export interface Tunnel {
  readonly kind: "gre" | "vxlan" | "gtp-u" | "ip-in-ip";
  /** GRE key, VXLAN network identifier or GTP tunnel endpoint. */
  readonly id?: number;
  /** Where the inner packet starts, and the layer it starts with. */
  readonly innerOffset: number;
  readonly inner: "eth" | "ipv4" | "ipv6" | "other";
}

export interface ParsedFrame {
  readonly data: Uint8Array;
  /** Behind the VLAN tags; undefined on a frame too short to have one. */
  readonly etherType: number | undefined;
  /** VLAN ids, outermost first; at most two. */
  readonly vlans: readonly number[];
  readonly l3: L3 | undefined;
  readonly l3Offset: number | undefined;
  /** IPv4 header length in 32-bit words, as the header says. */
  readonly ihl: number | undefined;
  readonly fragment: Fragment;
  /** Of the transport; behind the extension headers for IPv6. */
  readonly protocol: number | undefined;
  readonly l4: L4 | undefined;
  readonly l4Offset: number | undefined;
  readonly tunnel: Tunnel | undefined;
}

const noVlans: readonly number[] = [];

/** Never throws; see the file header for what the members promise. */
export function parseFrame(data: Uint8Array): ParsedFrame {
  if (data.length < 14)
    return frame(data, undefined, noVlans, { l3: undefined });
  let etherType = u16(data, 12);
  let at = 14;
  let vlans = noVlans;
  while (isVlan(etherType) && vlans.length < 2 && data.length >= at + 4) {
    vlans = [...vlans, u16(data, at) & 0x0fff];
    etherType = u16(data, at + 2);
    at += 4;
  }
  return frame(data, etherType, vlans, parseL3(data, etherType, at));
}

/** The packet inside the tunnel, as a frame of its own; L3 tunnels have no Ethernet header. */
export function innerFrame(parsed: ParsedFrame): ParsedFrame | undefined {
  const { tunnel } = parsed;
  if (tunnel === undefined) return undefined;
  if (tunnel.inner === "eth")
    return parseFrame(parsed.data.subarray(tunnel.innerOffset));
  if (tunnel.inner === "other") return undefined;
  const data = parsed.data.subarray(tunnel.innerOffset);
  const etherType = tunnel.inner === "ipv4" ? 0x0800 : 0x86dd;
  return frame(data, etherType, noVlans, parseL3(data, etherType, 0));
}

/** Offset of the n-th VLAN tag's TCI, or undefined. */
export function vlanOffset(
  parsed: ParsedFrame,
  tag: 0 | 1,
): number | undefined {
  return parsed.vlans.length > tag ? 14 + 4 * tag : undefined;
}

interface Layer3 {
  readonly l3: L3 | undefined;
  readonly offset?: number;
  readonly ihl?: number;
  readonly fragment?: Fragment;
  readonly protocol?: number;
  /** Where the transport would start; absent when it is not there. */
  readonly next?: number;
}

function frame(
  data: Uint8Array,
  etherType: number | undefined,
  vlans: readonly number[],
  layer: Layer3,
): ParsedFrame {
  const { next, protocol } = layer;
  const l4Offset =
    next !== undefined && next + 4 <= data.length ? next : undefined;
  const l4 =
    l4Offset === undefined || protocol === undefined
      ? undefined
      : transport(protocol);
  return {
    data,
    etherType,
    vlans,
    l3: layer.l3,
    l3Offset: layer.offset,
    ihl: layer.ihl,
    fragment: layer.fragment ?? "none",
    protocol,
    l4,
    l4Offset,
    tunnel:
      l4Offset === undefined || protocol === undefined
        ? undefined
        : parseTunnel(data, protocol, l4Offset),
  };
}

function isVlan(etherType: number): boolean {
  return etherType === 0x8100 || etherType === 0x88a8;
}

function transport(protocol: number): L4 {
  switch (protocol) {
    case 6:
      return "tcp";
    case 17:
      return "udp";
    case 132:
      return "sctp";
    case 1:
      return "icmp";
    case 58:
      return "icmpv6";
    case 47:
      return "gre";
    default:
      return "other";
  }
}

function parseL3(data: Uint8Array, etherType: number, at: number): Layer3 {
  if (etherType === 0x0800) return parseIpv4(data, at);
  if (etherType === 0x86dd) return parseIpv6(data, at);
  if (etherType === 0x0806 && at + 28 <= data.length)
    return { l3: "arp", offset: at };
  return { l3: undefined };
}

function parseIpv4(data: Uint8Array, at: number): Layer3 {
  if (at + 20 > data.length) return { l3: undefined };
  const ihl = (data[at] ?? 0) & 0x0f;
  const word = u16(data, at + 6);
  const fragment =
    (word & 0x1fff) !== 0 ? "later" : (word & 0x2000) !== 0 ? "first" : "none";
  const layer = {
    l3: "ipv4",
    offset: at,
    ihl,
    fragment,
    protocol: data[at + 9] ?? 0,
  } as const;
  if (ihl < 5 || fragment === "later") return layer;
  return { ...layer, next: at + 4 * ihl };
}

function parseIpv6(data: Uint8Array, at: number): Layer3 {
  if (at + 40 > data.length) return { l3: undefined };
  let protocol = data[at + 6] ?? 0;
  let next = at + 40;
  let fragment: Fragment = "none";
  // Each round moves at least eight bytes forwards, so this ends with the frame.
  for (;;) {
    const size = extensionSize(data, protocol, next);
    if (size === undefined) break;
    if (next + size > data.length)
      return { l3: "ipv6", offset: at, fragment, protocol };
    if (protocol === 44) {
      const later = (u16(data, next + 2) & 0xfff8) !== 0;
      fragment = later ? "later" : "first";
      if (later)
        return {
          l3: "ipv6",
          offset: at,
          fragment,
          protocol: data[next] ?? 0,
        };
    }
    protocol = data[next] ?? 0;
    next += size;
  }
  return { l3: "ipv6", offset: at, fragment, protocol, next };
}

/** Size of the extension header `protocol` at `at`; undefined when it is none. */
function extensionSize(
  data: Uint8Array,
  protocol: number,
  at: number,
): number | undefined {
  const length = data[at + 1] ?? 0;
  switch (protocol) {
    case 0: // hop-by-hop options
    case 43: // routing
    case 60: // destination options
    case 135: // mobility
    case 139: // host identity
    case 140: // shim6
      return 8 * (length + 1);
    case 44: // fragment
      return 8;
    case 51: // authentication: in words, minus two
      return 4 * (length + 2);
    default:
      return undefined;
  }
}

function parseTunnel(
  data: Uint8Array,
  protocol: number,
  at: number,
): Tunnel | undefined {
  switch (protocol) {
    case 4:
      return { kind: "ip-in-ip", innerOffset: at, inner: "ipv4" };
    case 41:
      return { kind: "ip-in-ip", innerOffset: at, inner: "ipv6" };
    case 47:
      return parseGre(data, at);
    case 17:
      return parseVxlan(data, at) ?? parseGtp(data, at);
    default:
      return undefined;
  }
}

function parseGre(data: Uint8Array, at: number): Tunnel | undefined {
  const flags = u16(data, at);
  // Routing (deprecated) or a version other than 0: not parsed.
  if ((flags & 0x4007) !== 0) return undefined;
  const keyAt = at + 4 + ((flags & 0x8000) !== 0 ? 4 : 0);
  const hasKey = (flags & 0x2000) !== 0;
  const innerOffset =
    keyAt + (hasKey ? 4 : 0) + ((flags & 0x1000) !== 0 ? 4 : 0);
  if (innerOffset > data.length) return undefined;
  const type = u16(data, at + 2);
  const inner =
    type === 0x6558
      ? "eth"
      : type === 0x0800
        ? "ipv4"
        : type === 0x86dd
          ? "ipv6"
          : "other";
  return {
    kind: "gre",
    ...(hasKey ? { id: u32(data, keyAt) } : {}),
    innerOffset,
    inner,
  };
}

function parseVxlan(data: Uint8Array, at: number): Tunnel | undefined {
  if (at + 16 > data.length || u16(data, at + 2) !== 4789) return undefined;
  // The I flag says that the identifier is valid.
  if (((data[at + 8] ?? 0) & 0x08) === 0) return undefined;
  return {
    kind: "vxlan",
    id: u32(data, at + 12) >>> 8,
    innerOffset: at + 16,
    inner: "eth",
  };
}

/** A G-PDU behind UDP: version 1, with optional words and extension headers. */
function parseGtp(data: Uint8Array, at: number): Tunnel | undefined {
  const flags = data[at + 8] ?? 0;
  if (at + 16 > data.length || u16(data, at + 2) !== 2152) return undefined;
  if ((flags & 0xf0) !== 0x30 || data[at + 9] !== 255) return undefined;
  let innerOffset = at + 16 + ((flags & 7) !== 0 ? 4 : 0);
  let next = (flags & 4) !== 0 ? (data[innerOffset - 1] ?? 0) : 0;
  // Each round moves at least four bytes forwards.
  while (next !== 0) {
    const size = 4 * (data[innerOffset] ?? 0);
    if (size === 0 || innerOffset + size > data.length) return undefined;
    innerOffset += size;
    next = data[innerOffset - 1] ?? 0;
  }
  if (innerOffset > data.length) return undefined;
  const version = (data[innerOffset] ?? 0) >> 4;
  return {
    kind: "gtp-u",
    id: u32(data, at + 12),
    innerOffset,
    inner: version === 4 ? "ipv4" : version === 6 ? "ipv6" : "other",
  };
}

function u16(data: Uint8Array, at: number): number {
  return ((data[at] ?? 0) << 8) | (data[at + 1] ?? 0);
}

function u32(data: Uint8Array, at: number): number {
  return ((u16(data, at) << 16) | u16(data, at + 2)) >>> 0;
}
