/**
 * The packet views at work over one frame: a tree of objects that is made once
 * per instance and pointed at each frame in turn.
 *
 * Where a header starts follows from bytes that cannot be assigned (IHL), so a
 * view keeps its place while a packet is handled. Whether a header is there is
 * asked at each access. Nothing outside the frame is read or written.
 *
 *   packet ─ eth · vlan ─ ipv4 ─ tcp udp icmp l4
 *          │            └ ipv6 ─ tcp udp icmp l4
 *          ├ ipv4 ─ tcp udp icmp l4
 *          └ ipv6 ─ tcp udp icmp l4
 *
 * The payload of TCP starts at 4 × dataOffset, at least 20 bytes behind the header's
 * start. Every payload ends with the frame.
 */
import { updateChecksum } from "../../packet/index.ts";
import { Frame, FrameBytes, put16, u16 } from "./frame-bytes.ts";
import type {
  Bytes,
  EthernetHeader,
  IcmpHeader,
  Ipv4Header,
  Ipv6Header,
  Packet,
  Ports,
  TcpHeader,
  UdpHeader,
  VlanTag,
} from "./headers.ts";
import { accessor } from "./view-accessors.ts";
import {
  etherTypes,
  headerSizes,
  protocols,
  viewFields,
  type Fix,
  type ViewName,
} from "./view-table.ts";

/** A checksum somewhere in the frame. */
interface ChecksumPlace {
  readonly at: number;
  /** 0 means none and stays; a result of 0 is written as 0xffff. */
  readonly udp: boolean;
}

abstract class View {
  readonly frame: Frame;
  /** Where the header starts. */
  at = 0;

  constructor(frame: Frame) {
    this.frame = frame;
  }

  /** Keeps checksums right when the 16-bit word at `place` becomes `next`. */
  abstract fix(fix: Fix, place: number, next: number): void;

  protected adjust(place: ChecksumPlace, old: number, next: number): void {
    const { data } = this.frame;
    const sum = u16(data, place.at);
    if (place.udp && sum === 0) return;
    const fixed = updateChecksum(sum, old, next);
    put16(data, place.at, place.udp && fixed === 0 ? 0xffff : fixed);
  }
}

class EthernetView extends View {
  override fix(): void {
    // No checksum covers it.
  }
}

class TransportView extends View {
  /** Not `checksum`: that is a field. */
  sum: ChecksumPlace = { at: 0, udp: false };

  override fix(_fix: Fix, place: number, next: number): void {
    this.adjust(this.sum, u16(this.frame.data, place), next);
  }
}

/** What TCP, UDP and ICMP have: bytes behind the header. */
class PayloadHolder extends TransportView {
  readonly #bytes: FrameBytes;
  readonly #isTcp: boolean;

  constructor(frame: Frame, isTcp: boolean) {
    super(frame);
    this.#bytes = new FrameBytes(frame);
    this.#isTcp = isTcp;
  }

  get payload(): Bytes {
    const header = this.#isTcp
      ? Math.max(5, (this.frame.data[this.at + 12] ?? 0) >>> 4) * 4
      : 8;
    this.#bytes.start = this.at + header;
    return this.#bytes;
  }
}

abstract class NetworkView extends View {
  readonly #tcp: PayloadHolder;
  readonly #udp: PayloadHolder;
  readonly #icmp: PayloadHolder;
  readonly #l4: TransportView;

  constructor(frame: Frame) {
    super(frame);
    this.#tcp = new TcpView(frame, true);
    this.#udp = new UdpView(frame, false);
    this.#icmp = new IcmpView(frame, false);
    this.#l4 = new PortsView(frame);
  }

  /** The protocol that follows, and where; −1 where the packet is a fragment. */
  abstract readonly next: number;
  abstract readonly end: number;
  abstract readonly icmpProtocol: number;
  /** The checksum of the TCP or UDP header behind, also in a first fragment. */
  abstract readonly behind: ChecksumPlace | undefined;

  get tcp(): TcpHeader | undefined {
    return this.#behind(this.#tcp, protocols.tcp, 20) as TcpHeader | undefined;
  }

  get udp(): UdpHeader | undefined {
    return this.#behind(this.#udp, protocols.udp, 8) as UdpHeader | undefined;
  }

  get icmp(): IcmpHeader | undefined {
    return this.#behind(this.#icmp, this.icmpProtocol, 8) as
      IcmpHeader | undefined;
  }

  get l4(): Ports | undefined {
    if (this.next < 0) return undefined;
    const checksum = this.behind;
    if (checksum === undefined) return undefined;
    this.#l4.at = this.end;
    this.#l4.sum = checksum;
    return this.#l4 as unknown as Ports;
  }

  #behind(view: TransportView, protocol: number, size: number): unknown {
    if (this.next !== protocol) return undefined;
    const { end } = this;
    if (end + size > this.frame.data.length) return undefined;
    view.at = end;
    if (protocol === protocols.tcp) view.sum = { at: end + 16, udp: false };
    else if (protocol === protocols.udp) view.sum = { at: end + 6, udp: true };
    return view;
  }

  protected transport(protocol: number): ChecksumPlace | undefined {
    const { end } = this;
    const { length } = this.frame.data;
    if (protocol === protocols.tcp && end + 20 <= length)
      return { at: end + 16, udp: false };
    if (protocol === protocols.udp && end + 8 <= length)
      return { at: end + 6, udp: true };
    return undefined;
  }
}

class Ipv4View extends NetworkView {
  readonly icmpProtocol = protocols.icmp;

  /** Is the whole header at `at`? */
  get isThere(): boolean {
    const { data } = this.frame;
    const { at } = this;
    if (at + 20 > data.length) return false;
    const first = data[at] ?? 0;
    const ihl = first & 15;
    return first >>> 4 === 4 && ihl >= 5 && at + 4 * ihl <= data.length;
  }

  get next(): number {
    const { data } = this.frame;
    return (u16(data, this.at + 6) & 0x3fff) === 0
      ? (data[this.at + 9] ?? 0)
      : -1;
  }

  get end(): number {
    return this.at + 4 * ((this.frame.data[this.at] ?? 0) & 15);
  }

  get behind(): ChecksumPlace | undefined {
    const { data } = this.frame;
    return (u16(data, this.at + 6) & 0x1fff) === 0
      ? this.transport(data[this.at + 9] ?? 0)
      : undefined;
  }

  override fix(fix: Fix, place: number, next: number): void {
    const old = u16(this.frame.data, place);
    this.adjust({ at: this.at + 10, udp: false }, old, next);
    if (fix === "header") return;
    const behind = this.behind;
    if (behind !== undefined) this.adjust(behind, old, next);
  }
}

class Ipv6View extends NetworkView {
  readonly icmpProtocol = protocols.icmpv6;

  get isThere(): boolean {
    const { data } = this.frame;
    return this.at + 40 <= data.length && (data[this.at] ?? 0) >>> 4 === 6;
  }

  get next(): number {
    return this.frame.data[this.at + 6] ?? 0;
  }

  get end(): number {
    return this.at + 40;
  }

  get behind(): ChecksumPlace | undefined {
    return this.transport(this.next);
  }

  override fix(_fix: Fix, place: number, next: number): void {
    const behind = this.behind;
    if (behind !== undefined)
      this.adjust(behind, u16(this.frame.data, place), next);
  }
}

class VlanView extends EthernetView {
  readonly #ipv4: Ipv4View;
  readonly #ipv6: Ipv6View;

  constructor(frame: Frame) {
    super(frame);
    this.#ipv4 = new Ipv4View(frame);
    this.#ipv6 = new Ipv6View(frame);
    this.at = headerSizes.eth;
    this.#ipv4.at = this.#ipv6.at = headerSizes.eth + headerSizes.vlan;
  }

  get ipv4(): Ipv4Header | undefined {
    return present(this.#ipv4, u16(this.frame.data, 16) === etherTypes.ipv4);
  }

  get ipv6(): Ipv6Header | undefined {
    return present(this.#ipv6, u16(this.frame.data, 16) === etherTypes.ipv6);
  }
}

class TcpView extends PayloadHolder {}
class UdpView extends PayloadHolder {}
class IcmpView extends PayloadHolder {}
class PortsView extends TransportView {}

/** The root: points all views at a frame. */
export class PacketView implements Packet {
  readonly #frame = new Frame();
  readonly #bytes = new FrameBytes(this.#frame);
  readonly #eth = new EthernetView(this.#frame);
  readonly #vlan = new VlanView(this.#frame);
  readonly #ipv4 = new Ipv4View(this.#frame);
  readonly #ipv6 = new Ipv6View(this.#frame);

  constructor() {
    this.#ipv4.at = this.#ipv6.at = headerSizes.eth;
  }

  /** From here on the views look at `data`. An assignment copies it first. */
  pointAt(data: Uint8Array): void {
    this.#frame.look(data);
  }

  /** What they look at: what `pointAt` was given, or the copy. */
  get data(): Uint8Array {
    return this.#frame.data;
  }

  get length(): number {
    return this.#frame.data.length;
  }

  get eth(): EthernetHeader | undefined {
    return this.length >= headerSizes.eth
      ? (this.#eth as unknown as EthernetHeader)
      : undefined;
  }

  get vlan(): VlanTag | undefined {
    const { data } = this.#frame;
    if (data.length < headerSizes.eth + headerSizes.vlan) return undefined;
    const type = u16(data, 12);
    return type === etherTypes.vlan || type === etherTypes.serviceVlan
      ? (this.#vlan as unknown as VlanTag)
      : undefined;
  }

  get ipv4(): Ipv4Header | undefined {
    const { data } = this.#frame;
    return present(this.#ipv4, u16(data, 12) === etherTypes.ipv4);
  }

  get ipv6(): Ipv6Header | undefined {
    const { data } = this.#frame;
    return present(this.#ipv6, u16(data, 12) === etherTypes.ipv6);
  }

  get tcp(): TcpHeader | undefined {
    return (this.ipv4 ?? this.ipv6)?.tcp;
  }

  get udp(): UdpHeader | undefined {
    return (this.ipv4 ?? this.ipv6)?.udp;
  }

  get icmp(): IcmpHeader | undefined {
    return (this.ipv4 ?? this.ipv6)?.icmp;
  }

  get l4(): Ports | undefined {
    return (this.ipv4 ?? this.ipv6)?.l4;
  }

  u8(offset: number): number | undefined {
    return this.#bytes.u8(offset);
  }

  u16(offset: number): number | undefined {
    return this.#bytes.u16(offset);
  }

  u32(offset: number): number | undefined {
    return this.#bytes.u32(offset);
  }
}

function present(view: Ipv4View, follows: boolean): Ipv4Header | undefined;
function present(view: Ipv6View, follows: boolean): Ipv6Header | undefined;
function present(view: Ipv4View | Ipv6View, follows: boolean): unknown {
  return follows && view.isThere ? view : undefined;
}

// The fields, as accessors of the views' prototypes.
const prototypes: Readonly<Record<ViewName, object>> = {
  eth: EthernetView.prototype,
  vlan: VlanView.prototype,
  ipv4: Ipv4View.prototype,
  ipv6: Ipv6View.prototype,
  tcp: TcpView.prototype,
  udp: UdpView.prototype,
  icmp: IcmpView.prototype,
  l4: PortsView.prototype,
};

for (const [view, members] of Object.entries(viewFields))
  for (const [name, field] of Object.entries(members))
    Object.defineProperty(
      prototypes[view as ViewName],
      name,
      accessor(name, field),
    );
