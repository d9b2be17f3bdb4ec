/**
 * What a network function sees of a packet: types only; `views.ts` implements
 * them and `view-table.ts` says where each field stands.
 *
 * A header that is not wholly in the frame is undefined, and so is one that does
 * not follow: TypeScript makes you ask first. Fields are plain properties.
 * Assigning one changes the frame and keeps checksums right by the difference
 * (RFC 1624): a checksum that was wrong stays wrong. Which ones: the IPv4 header's
 * for fields of IPv4; TCP's or UDP's for IP addresses (where that header is in the
 * frame and the fragment offset is 0) and for fields of TCP and UDP. A UDP
 * checksum of 0 means none and stays 0. Assigning `checksum` assigns only that.
 */

/** Ethernet: the first 14 bytes. */
export interface EthernetHeader {
  /** Destination, 48 bits: compare with `mac("…")`. */
  dst: bigint;
  src: bigint;
  /** EtherType: 0x0800 IPv4, 0x86dd IPv6, 0x8100 a VLAN tag. */
  type: number;
}

/** The outermost VLAN tag (802.1Q or 802.1ad). */
export interface VlanTag {
  readonly priority: number;
  readonly id: number;
  /** EtherType of what follows the tag. */
  type: number;
  /** The IPv4 header right behind the tag. */
  readonly ipv4: Ipv4Header | undefined;
  /** The IPv6 header right behind the tag. */
  readonly ipv6: Ipv6Header | undefined;
}

/** What may follow an IP header; none of it where the packet is a fragment. */
export interface Transport {
  /** TCP: its 20 bytes are in the frame. */
  readonly tcp: TcpHeader | undefined;
  /** UDP: its 8 bytes are in the frame. */
  readonly udp: UdpHeader | undefined;
  /** ICMP behind IPv4, ICMPv6 behind IPv6: 8 bytes are in the frame. */
  readonly icmp: IcmpHeader | undefined;
  /** What TCP and UDP have in common; there exactly when one of them is. */
  readonly l4: Ports | undefined;
}

/** IPv4: version 4, IHL 5 or more, the whole header with its options in the frame. */
export interface Ipv4Header extends Transport {
  readonly version: number;
  /** Header length in words of 4 bytes. */
  readonly ihl: number;
  tos: number;
  length: number;
  id: number;
  /** Three bits: reserved, don't fragment, more fragments. */
  readonly flags: number;
  /** In units of 8 bytes. */
  readonly fragmentOffset: number;
  readonly moreFragments: boolean;
  /** More fragments follow, or the offset is not 0. */
  readonly isFragment: boolean;
  ttl: number;
  protocol: number;
  checksum: number;
  src: number;
  dst: number;
}

/** IPv6: version 6, 40 bytes. Extension headers are not followed. */
export interface Ipv6Header extends Transport {
  readonly version: number;
  readonly trafficClass: number;
  readonly flowLabel: number;
  /** Of the payload. */
  length: number;
  nextHeader: number;
  hopLimit: number;
  /** The first 64 bits of the source. */
  srcHigh: bigint;
  srcLow: bigint;
  dstHigh: bigint;
  dstLow: bigint;
}

export interface Ports {
  sport: number;
  dport: number;
}

export interface TcpHeader extends Ports {
  seq: number;
  ack: number;
  /** Header length in words of 4 bytes. */
  readonly dataOffset: number;
  /** One byte: compare with `tcpFlags.syn` and so on. */
  flags: number;
  readonly isFin: boolean;
  readonly isSyn: boolean;
  readonly isRst: boolean;
  readonly isAck: boolean;
  window: number;
  checksum: number;
  urgent: number;
  /** From 4 × dataOffset (at least 20) to the end of the frame. */
  readonly payload: Payload;
}

export interface UdpHeader extends Ports {
  length: number;
  checksum: number;
  readonly payload: Payload;
}

export interface IcmpHeader {
  readonly type: number;
  readonly code: number;
  checksum: number;
  /** Behind the first 8 bytes. */
  readonly payload: Payload;
}

/** Bytes in network order; undefined where they are not wholly there. */
export interface Bytes {
  readonly length: number;
  u8(offset: number): number | undefined;
  u16(offset: number): number | undefined;
  u32(offset: number): number | undefined;
}

/** What follows a header, to the end of the frame (padding included). */
export type Payload = Bytes;

/** A frame; `length` and raw bytes count from its first byte. */
export interface Packet extends Bytes, Transport {
  readonly eth: EthernetHeader | undefined;
  readonly vlan: VlanTag | undefined;
  /** Right behind Ethernet; behind a tag it is `vlan.ipv4`. */
  readonly ipv4: Ipv4Header | undefined;
  /** Right behind Ethernet; behind a tag it is `vlan.ipv6`. */
  readonly ipv6: Ipv6Header | undefined;
}
