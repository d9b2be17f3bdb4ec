/**
 * Many similar TCP and UDP frames, fast: a template per kind and size, into which
 * addresses, ports and TCP numbers are written; checksums follow from the template's
 * sums. What it makes is what buildFrame would make (tested).
 *
 * Flow n has client 10.x.y.z, server 198.18.0.0/15 (RFC 2544), both MAC addresses
 * 02:00 followed by the IP address. Up to 64,512 flows of one client differ in
 * their source port. Over IPv6 the host with the IPv4 address a has a /64 of its own,
 * 2001:db8:a::/64 (RFC 3849), and in it an identifier that a decides and that looks
 * random, as temporary addresses do (RFC 8981): pairs of hosts differ in any bit.
 */
import { buildFrame, foldChecksum, sumWords } from "../packet/index.ts";

export interface FlowTuple {
  readonly protocol: 6 | 17;
  readonly client: number;
  readonly server: number;
  readonly clientPort: number;
  readonly serverPort: number;
  /** Absent: IPv4. */
  readonly version?: 6;
  /** Identifier of a VLAN tag; absent: there is none. */
  readonly vlan?: number;
}

export interface FrameWords {
  /** From the server to the client. */
  readonly reply: boolean;
  readonly size: number;
  readonly flags: number;
  readonly seq: number;
  readonly ack: number;
}

interface Template {
  readonly bytes: Uint8Array;
  /** Where the IP header begins, and where the transport's does. */
  readonly l3: number;
  readonly l4: number;
  readonly ipSum: number;
  readonly transportSum: number;
}

const services = [80, 443, 443, 443, 53, 22, 25, 123, 8080, 8443];

/** The tuple of flow `index`, the same for the same seed. */
export function flowTuple(
  index: number,
  options: {
    readonly seed: number;
    readonly hosts: number;
    readonly tcp: number;
  },
): FlowTuple {
  const { seed, hosts, tcp } = options;
  const host = index % hosts;
  const turn = Math.floor(index / hosts);
  const mixed = mix(index ^ Math.imul(seed, 0x9e3779b1));
  const more = mix(mixed ^ 0x5bd1e995);
  // An odd factor is a bijection of 24 bits: hosts keep distinct addresses.
  const client =
    (0x0a000000 | ((Math.imul(host + 1, 0x9e3779) ^ mix(seed)) & 0xffffff)) >>>
    0;
  return {
    protocol: (more >>> 8) / 0x1000000 < tcp ? 6 : 17,
    client,
    server: (0xc6120000 | (mixed & 0x1ffff)) >>> 0,
    clientPort: 1024 + (((mix(host ^ seed) >>> 0) + turn * 40_503) % 64_512),
    serverPort: services[(mixed >>> 17) % services.length] ?? 80,
  };
}

/** The flow over IPv6 or behind a tag, as the shares say; the same for both directions. */
export function dressed(
  tuple: FlowTuple,
  { seed, v6, vlan }: { seed: number; v6: number; vlan: number },
): FlowTuple {
  if (v6 === 0 && vlan === 0) return tuple;
  const ends = Math.imul(tuple.client, 0x9e3779b1) ^ tuple.server;
  const ports = (tuple.clientPort << 16) | tuple.serverPort;
  const one = mix(mix(ends ^ seed) ^ ports ^ tuple.protocol);
  const other = mix(one ^ 0x5bd1e995);
  const isIn = (word: number, share: number): boolean =>
    (word >>> 8) / 0x1000000 < share;
  return {
    ...tuple,
    ...(isIn(one, v6) ? { version: 6 as const } : {}),
    ...(isIn(other, vlan) ? { vlan: 1 + ((other & 0xff) % 16) } : {}),
  };
}

/** Bytes of the headers of a flow's frames. */
export function headerLength({ protocol, version, vlan }: FlowTuple): number {
  const l4 = (vlan === undefined ? 14 : 18) + (version === 6 ? 40 : 20);
  return l4 + (protocol === 6 ? 20 : 8);
}

export class FrameMill {
  readonly #templates = new Map<number, Template>();

  make(tuple: FlowTuple, words: FrameWords): Uint8Array {
    const { bytes, l3, l4, ipSum, transportSum } = this.#template(
      tuple,
      words.size,
    );
    const frame = bytes.slice();
    const { client, server, clientPort, serverPort } = tuple;
    const [src, dst] = words.reply ? [server, client] : [client, server];
    const [sport, dport] = words.reply
      ? [serverPort, clientPort]
      : [clientPort, serverPort];
    put32(frame, 2, dst);
    put32(frame, 8, src);
    if (tuple.vlan !== undefined) put16(frame, 14, tuple.vlan);
    let addresses = halves(src) + halves(dst);
    if (tuple.version === 6) {
      put32(frame, l3 + 12, src);
      put32(frame, l3 + 28, dst);
      addresses += putInterface(frame, l3 + 16, src);
      addresses += putInterface(frame, l3 + 32, dst);
    } else {
      put32(frame, l3 + 12, src);
      put32(frame, l3 + 16, dst);
      put16(frame, l3 + 10, foldChecksum(ipSum + addresses));
    }
    put16(frame, l4, sport);
    put16(frame, l4 + 2, dport);
    let sum = transportSum + addresses + sport + dport;
    if (tuple.protocol === 6) {
      put32(frame, l4 + 4, words.seq);
      put32(frame, l4 + 8, words.ack);
      frame[l4 + 13] = words.flags;
      sum += halves(words.seq) + halves(words.ack) + words.flags;
      put16(frame, l4 + 16, foldChecksum(sum));
    } else {
      const checksum = foldChecksum(sum);
      put16(frame, l4 + 6, checksum === 0 ? 0xffff : checksum);
    }
    return frame;
  }

  #template({ protocol, version, vlan }: FlowTuple, size: number): Template {
    const isTagged = vlan !== undefined;
    const kind = (isTagged ? 2 : 0) + (version === 6 ? 1 : 0);
    const key = (size * 4 + kind) * 256 + protocol;
    const known = this.#templates.get(key);
    if (known !== undefined) return known;
    const ports = { sport: 0, dport: 0 };
    const bytes = buildFrame({
      eth: { src: 0x0200_0000_0000n, dst: 0x0200_0000_0000n },
      ...(isTagged ? { vlans: [0] } : {}),
      ...(version === 6
        ? { ipv6: { src: documentation, dst: documentation } }
        : { ipv4: { src: 0n, dst: 0n } }),
      ...(protocol === 6 ? { tcp: { ...ports, flags: 0 } } : { udp: ports }),
      size,
    });
    const l3 = isTagged ? 18 : 14;
    const l4 = l3 + (version === 6 ? 40 : 20);
    if (version !== 6) put16(bytes, l3 + 10, 0);
    put16(bytes, l4 + (protocol === 6 ? 16 : 6), 0);
    const pseudo = protocol + size - l4 + (version === 6 ? prefixes : 0);
    const made = {
      bytes,
      l3,
      l4,
      ipSum: sumWords(bytes, l3, l3 + 20),
      transportSum: sumWords(bytes, l4, size, pseudo),
    };
    this.#templates.set(key, made);
    return made;
  }
}

/** Writes a host's interface identifier, and gives the sum of its words. */
function putInterface(frame: Uint8Array, at: number, host: number): number {
  const one = mix(host) >>> 0;
  const other = mix(one ^ 0x5bd1e995) >>> 0;
  put32(frame, at, one);
  put32(frame, at + 4, other);
  return halves(one) + halves(other);
}

/** 2001:db8::, and the sum of the words of two such. */
const documentation = 0x2001_0db8n << 96n;
const prefixes = 2 * (0x2001 + 0x0db8);

/** A bijection of 32 bits that leaves no pattern (finalizer of MurmurHash3). */
export function mix(value: number): number {
  let hash = value | 0;
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return hash ^ (hash >>> 16);
}

function halves(value: number): number {
  return (value >>> 16) + (value & 0xffff);
}

function put16(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 8;
  bytes[at + 1] = value;
}

function put32(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 24;
  bytes[at + 1] = value >>> 16;
  bytes[at + 2] = value >>> 8;
  bytes[at + 3] = value;
}
