/**
 * Frames from words: `buildFrame({ ipv4: { src: "10.0.0.1", dst: "10.0.0.2" },
 * tcp: { sport: 1, dport: 80, flags: tcpFlags.syn } })`. Lengths, EtherTypes,
 * protocol numbers and checksums follow from what is given; whatever is given
 * explicitly (a wrong length, a protocol) stands as given.
 *
 *   eth  vlans…  ipv4 | ipv6 (extension headers) | arp  tcp | udp | icmp | gre  payload
 *
 * A tunnel (`gre`, `vxlan`, `gtp`) holds the specification of its inner packet.
 */
import { ByteWriter, InputError } from "../base/index.ts";
import { parseIpv4, parseIpv6, parseMac } from "./address.ts";
import { refreshChecksums } from "./checksum.ts";

/** As text or as a number in network order. */
type Address = string | bigint;

export interface FrameSpec {
  readonly eth?: {
    readonly dst?: Address;
    readonly src?: Address;
    /** Of what follows the tags; derived from the next layer. */
    readonly type?: number;
  };
  /** Tag control words (or plain ids), outermost first. */
  readonly vlans?: readonly number[];
  readonly arp?: {
    readonly op: number;
    readonly senderIp: Address;
    readonly targetIp: Address;
    readonly senderMac?: Address;
    readonly targetMac?: Address;
  };
  readonly ipv4?: {
    readonly src: Address;
    readonly dst: Address;
    readonly protocol?: number;
    readonly ttl?: number;
    readonly tos?: number;
    readonly id?: number;
    readonly dontFragment?: boolean;
    readonly moreFragments?: boolean;
    /** In units of 8 bytes. */
    readonly fragmentOffset?: number;
    /** A multiple of 4 bytes, at most 40. */
    readonly options?: Uint8Array;
  };
  readonly ipv6?: {
    readonly src: Address;
    readonly dst: Address;
    readonly nextHeader?: number;
    readonly hopLimit?: number;
    readonly flowLabel?: number;
    readonly trafficClass?: number;
    /** `body` follows the next-header byte; its size is 7 bytes more than a multiple of 8. */
    readonly extensions?: readonly {
      readonly type: number;
      readonly body: Uint8Array;
    }[];
  };
  readonly tcp?: {
    readonly sport: number;
    readonly dport: number;
    readonly seq?: number;
    readonly ack?: number;
    readonly flags?: number;
    readonly window?: number;
    readonly options?: Uint8Array;
  };
  readonly udp?: {
    readonly sport: number;
    readonly dport: number;
    /** `none`: the checksum stays 0. */
    readonly checksum?: "none";
  };
  readonly icmp?: {
    readonly type: number;
    readonly code?: number;
    readonly id?: number;
    readonly sequence?: number;
  };
  readonly gre?: {
    readonly key?: number;
    readonly inner: FrameSpec;
    /** The inner packet has an Ethernet header. */
    readonly ethernet?: boolean;
  };
  /** Needs `udp`, whose destination port should be 4789. */
  readonly vxlan?: { readonly vni: number; readonly inner: FrameSpec };
  /** Needs `udp`, whose destination port should be 2152; `inner` has no Ethernet header. */
  readonly gtp?: {
    readonly teid: number;
    readonly inner: FrameSpec;
    /** A sequence number adds a word to the header. */
    readonly sequence?: number;
  };
  readonly payload?: Uint8Array;
  /** Length of the whole frame: the payload is extended with zeros up to it. */
  readonly size?: number;
}

// prettier-ignore
export const tcpFlags = { fin: 1, syn: 2, rst: 4, psh: 8, ack: 16, urg: 32, ece: 64, cwr: 128 } as const;

export function buildFrame(spec: FrameSpec): Uint8Array {
  return sized(spec, layers);
}

function sized(
  spec: FrameSpec,
  make: (spec: FrameSpec) => Uint8Array,
): Uint8Array {
  const plain = make(spec);
  const { size, ...rest } = spec;
  if (size === undefined || size === plain.length) return plain;
  if (size < plain.length)
    throw new InputError(
      `a frame of ${size} bytes cannot hold ${plain.length} bytes of headers and payload`,
      { code: "frame-size", kind: "usage" },
    );
  const payload = new Uint8Array(
    (spec.payload?.length ?? 0) + size - plain.length,
  );
  payload.set(spec.payload ?? []);
  return make({ ...rest, payload });
}

function layers(spec: FrameSpec): Uint8Array {
  const frame = new ByteWriter(false);
  const type = spec.eth?.type ?? etherType(spec);
  const tags = spec.vlans ?? [];
  frame.raw(mac(spec.eth?.dst ?? "02:00:00:00:00:02"));
  frame.raw(mac(spec.eth?.src ?? "02:00:00:00:00:01"));
  for (const [index, tag] of tags.entries())
    frame.u16(index + 1 < tags.length ? 0x88a8 : 0x8100).u16(tag);
  frame.u16(type).raw(layer3(spec));
  const data = refreshChecksums(frame.finish());
  if (spec.udp?.checksum === "none") return withoutUdpChecksum(spec, data);
  return data;
}

function etherType(spec: FrameSpec): number {
  if (spec.ipv6 !== undefined) return 0x86dd;
  if (spec.arp !== undefined) return 0x0806;
  return spec.ipv4 !== undefined ? 0x0800 : 0x88b5;
}

function layer3(spec: FrameSpec): Uint8Array {
  if (spec.ipv4 !== undefined) return ipv4(spec, spec.ipv4);
  if (spec.ipv6 !== undefined) return ipv6(spec, spec.ipv6);
  if (spec.arp !== undefined) return arp(spec.arp, spec.payload);
  return spec.payload ?? new Uint8Array();
}

function ipv4(
  spec: FrameSpec,
  header: NonNullable<FrameSpec["ipv4"]>,
): Uint8Array {
  const options = header.options ?? new Uint8Array();
  if (options.length % 4 !== 0 || options.length > 40)
    throw new InputError("IPv4 options take 0, 4, … 40 bytes", {
      code: "frame-options",
      kind: "usage",
    });
  const body = layer4(spec);
  const flags =
    (header.dontFragment === true ? 0x4000 : 0) |
    (header.moreFragments === true ? 0x2000 : 0) |
    (header.fragmentOffset ?? 0);
  return new ByteWriter(false)
    .u8(0x45 + options.length / 4)
    .u8(header.tos ?? 0)
    .u16(20 + options.length + body.length)
    .u16(header.id ?? 0)
    .u16(flags)
    .u8(header.ttl ?? 64)
    .u8(header.protocol ?? protocolOf(spec))
    .u16(0)
    .raw(bytesOf(number(header.src, parseIpv4), 4))
    .raw(bytesOf(number(header.dst, parseIpv4), 4))
    .raw(options)
    .raw(body)
    .finish();
}

function ipv6(
  spec: FrameSpec,
  header: NonNullable<FrameSpec["ipv6"]>,
): Uint8Array {
  const body = new ByteWriter(false);
  const extensions = header.extensions ?? [];
  const last = header.nextHeader ?? protocolOf(spec, 58);
  for (const [index, { body: rest }] of extensions.entries()) {
    if (rest.length % 8 !== 7)
      throw new InputError("an IPv6 extension header takes 8, 16, … bytes", {
        code: "frame-options",
        kind: "usage",
      });
    body.u8(extensions[index + 1]?.type ?? last).raw(rest);
  }
  body.raw(layer4(spec));
  const word =
    0x6000_0000 +
    (header.trafficClass ?? 0) * 0x10_0000 +
    (header.flowLabel ?? 0);
  return new ByteWriter(false)
    .u32(word)
    .u16(body.length)
    .u8(extensions[0]?.type ?? last)
    .u8(header.hopLimit ?? 64)
    .raw(bytesOf(number(header.src, parseIpv6), 16))
    .raw(bytesOf(number(header.dst, parseIpv6), 16))
    .raw(body.finish())
    .finish();
}

function arp(
  header: NonNullable<FrameSpec["arp"]>,
  payload: Uint8Array = new Uint8Array(),
): Uint8Array {
  return new ByteWriter(false)
    .u16(1)
    .u16(0x0800)
    .u8(6)
    .u8(4)
    .u16(header.op)
    .raw(mac(header.senderMac ?? "02:00:00:00:00:01"))
    .raw(bytesOf(number(header.senderIp, parseIpv4), 4))
    .raw(mac(header.targetMac ?? 0n))
    .raw(bytesOf(number(header.targetIp, parseIpv4), 4))
    .raw(payload)
    .finish();
}

function protocolOf(spec: FrameSpec, icmp = 1): number {
  if (spec.tcp !== undefined) return 6;
  if (spec.udp !== undefined) return 17;
  if (spec.icmp !== undefined) return icmp;
  return spec.gre === undefined ? 253 : 47;
}

function layer4(spec: FrameSpec): Uint8Array {
  const { tcp, udp, icmp, gre, payload = new Uint8Array() } = spec;
  const out = new ByteWriter(false);
  if (tcp !== undefined) {
    const options = tcp.options ?? new Uint8Array();
    if (options.length % 4 !== 0 || options.length > 40)
      throw new InputError("TCP options take 0, 4, … 40 bytes", {
        code: "frame-options",
        kind: "usage",
      });
    const size = (5 + options.length / 4) << 4;
    out
      .u16(tcp.sport)
      .u16(tcp.dport)
      .u32(tcp.seq ?? 0)
      .u32(tcp.ack ?? 0);
    out
      .u8(size)
      .u8(tcp.flags ?? tcpFlags.ack)
      .u16(tcp.window ?? 0xffff);
    out.u16(0).u16(0).raw(options);
  } else if (udp !== undefined) {
    const inner = spec.gtp === undefined ? vxlan(spec) : gtp(spec.gtp);
    out.u16(udp.sport).u16(udp.dport);
    // A non-zero checksum field asks refreshChecksums to compute it.
    out
      .u16(8 + inner.length + payload.length)
      .u16(0xffff)
      .raw(inner);
  } else if (icmp !== undefined) {
    out
      .u8(icmp.type)
      .u8(icmp.code ?? 0)
      .u16(0);
    out.u16(icmp.id ?? 0).u16(icmp.sequence ?? 0);
  } else if (gre !== undefined) {
    const type = gre.ethernet === true ? 0x6558 : etherType(gre.inner);
    out.u16(gre.key === undefined ? 0 : 0x2000).u16(type);
    if (gre.key !== undefined) out.u32(gre.key);
    const inner = buildFrame(gre.inner);
    const tags = 4 * (gre.inner.vlans?.length ?? 0);
    out.raw(gre.ethernet === true ? inner : inner.subarray(14 + tags));
  }
  return out.raw(payload).finish();
}

function vxlan({ vxlan: tunnel }: FrameSpec): Uint8Array {
  if (tunnel === undefined) return new Uint8Array();
  return new ByteWriter(false)
    .u32(0x0800_0000)
    .u32(tunnel.vni * 256)
    .raw(buildFrame(tunnel.inner))
    .finish();
}

function gtp({
  teid,
  inner,
  sequence,
}: NonNullable<FrameSpec["gtp"]>): Uint8Array {
  const packet = buildFrame(inner).subarray(14);
  const more = sequence === undefined ? 0 : 4;
  const out = new ByteWriter(false)
    .u8(sequence === undefined ? 0x30 : 0x32)
    .u8(255)
    .u16(more + packet.length)
    .u32(teid);
  if (sequence !== undefined) out.u16(sequence).u16(0);
  return out.raw(packet).finish();
}

/** Zeroes the checksum field, which stands at a distance fixed by the headers given. */
function withoutUdpChecksum(spec: FrameSpec, data: Uint8Array): Uint8Array {
  const ip =
    spec.ipv4 === undefined
      ? 40 +
        (spec.ipv6?.extensions ?? []).reduce(
          (sum, { body }) => sum + 1 + body.length,
          0,
        )
      : 20 + (spec.ipv4.options?.length ?? 0);
  const at = 14 + 4 * (spec.vlans?.length ?? 0) + ip + 6;
  data[at] = 0;
  data[at + 1] = 0;
  return data;
}

function mac(address: Address): Uint8Array {
  return bytesOf(number(address, parseMac), 6);
}

function number(address: Address, parse: (text: string) => bigint): bigint {
  return typeof address === "string" ? parse(address) : address;
}

function bytesOf(value: bigint, size: number): Uint8Array {
  const bytes = new Uint8Array(size);
  for (let at = size - 1, rest = value; at >= 0; at--, rest >>= 8n)
    bytes[at] = Number(rest & 0xffn);
  return bytes;
}
