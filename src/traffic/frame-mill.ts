/**
 * Many similar TCP and UDP frames, fast: a template per protocol and size, into
 * which addresses, ports and TCP numbers are written; checksums follow from the
 * template's sums. What it makes is what buildFrame would make (tested).
 *
 * Flow n has client 10.x.y.z, server 198.18.0.0/15 (RFC 2544), both MAC addresses
 * 02:00 followed by the IP address. Up to 64,512 flows of one client differ in
 * their source port.
 */
import { buildFrame, foldChecksum, sumWords } from "../packet/index.ts";

export interface FlowTuple {
  readonly protocol: 6 | 17;
  readonly client: number;
  readonly server: number;
  readonly clientPort: number;
  readonly serverPort: number;
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

export class FrameMill {
  readonly #templates = new Map<number, Template>();

  make(tuple: FlowTuple, words: FrameWords): Uint8Array {
    const { bytes, ipSum, transportSum } = this.#template(
      tuple.protocol,
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
    put32(frame, 26, src);
    put32(frame, 30, dst);
    const addresses = halves(src) + halves(dst);
    put16(frame, 24, foldChecksum(ipSum + addresses));
    put16(frame, 34, sport);
    put16(frame, 36, dport);
    let sum = transportSum + addresses + sport + dport;
    if (tuple.protocol === 6) {
      put32(frame, 38, words.seq);
      put32(frame, 42, words.ack);
      frame[47] = words.flags;
      sum += halves(words.seq) + halves(words.ack) + words.flags;
      put16(frame, 50, foldChecksum(sum));
    } else {
      const checksum = foldChecksum(sum);
      put16(frame, 40, checksum === 0 ? 0xffff : checksum);
    }
    return frame;
  }

  #template(protocol: 6 | 17, size: number): Template {
    const key = size * 256 + protocol;
    const known = this.#templates.get(key);
    if (known !== undefined) return known;
    const ports = { sport: 0, dport: 0 };
    const bytes = buildFrame({
      eth: { src: 0x0200_0000_0000n, dst: 0x0200_0000_0000n },
      ipv4: { src: 0n, dst: 0n },
      ...(protocol === 6 ? { tcp: { ...ports, flags: 0 } } : { udp: ports }),
      size,
    });
    put16(bytes, 24, 0);
    put16(bytes, protocol === 6 ? 50 : 40, 0);
    const made = {
      bytes,
      ipSum: sumWords(bytes, 14, 34),
      transportSum: sumWords(bytes, 34, size, protocol + size - 34),
    };
    this.#templates.set(key, made);
    return made;
  }
}

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
