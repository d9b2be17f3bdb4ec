/**
 * bpf_tcp_raw_{gen,check}_syncookie_ipv{4,6}. The kernel's cookie depends on a secret
 * and the minute; ours is a hash of addresses and ports, with the index of the MSS in
 * its two lowest bits. What holds alike: a checked cookie is one that was generated for
 * the same four-tuple and sequence number (net/ipv4/syncookies.c).
 */
import { errno } from "../errno.ts";
import { Fingerprint } from "../fingerprint.ts";
import type { Host, HelperFunction } from "../host.ts";

const segmentSizes = [536, 1300, 1440, 1460];
const segmentSizes6 = [1280 - 60, 1480 - 60, 1500 - 60, 9000 - 60];
const tcpHeader = 20;

interface Family {
  readonly header: number;
  /** Where source and destination address lie, in a row. */
  readonly addresses: readonly [start: number, end: number];
  readonly sizes: readonly number[];
}
const ipv4: Family = { header: 20, addresses: [12, 20], sizes: segmentSizes };
const ipv6: Family = { header: 40, addresses: [8, 40], sizes: segmentSizes6 };

function tupleHash(family: Family, ip: Uint8Array, tcp: Uint8Array): number {
  const sum = new Fingerprint();
  sum.add(ip.subarray(...family.addresses), tcp.subarray(0, 4));
  return Number.parseInt(sum.text().slice(0, 8), 16) & ~3;
}

function word(bytes: Uint8Array, at: number): number {
  const [a = 0, b = 0, c = 0, d = 0] = bytes.subarray(at, at + 4);
  return ((a << 24) | (b << 16) | (c << 8) | d) >>> 0;
}

/** The MSS option of a TCP header, 0 if there is none. */
function maximumSegment(tcp: Uint8Array): number {
  for (let at = tcpHeader; at < tcp.length;) {
    const kind = tcp[at] ?? 0;
    if (kind === 0) return 0;
    if (kind === 1) {
      at++;
      continue;
    }
    const length = tcp[at + 1] ?? 0;
    if (length < 2 || at + length > tcp.length) return 0;
    if (kind === 2 && length === 4)
      return ((tcp[at + 2] ?? 0) << 8) | (tcp[at + 3] ?? 0);
    at += length;
  }
  return 0;
}

function generate(family: Family): HelperFunction {
  return (host: Host) => {
    const size = host.args.low(3);
    const ip = host.bytes(1, family.header);
    const tcp = host.bytes(2, size);
    if (size < tcpHeader || size !== ((tcp[12] ?? 0) >> 4) * 4)
      return -errno.EINVAL;
    const wanted = maximumSegment(tcp) || 536;
    let index = family.sizes.length - 1;
    while (index > 0 && wanted < (family.sizes[index] ?? 0)) index--;
    const cookie = ((tupleHash(family, ip, tcp) | index) + word(tcp, 4)) >>> 0;
    return BigInt(cookie) | (BigInt(family.sizes[index] ?? 0) << 32n);
  };
}

function check(family: Family): HelperFunction {
  return (host: Host) => {
    const ip = host.bytes(1, family.header);
    const tcp = host.bytes(2, tcpHeader);
    const sequence = (word(tcp, 4) - 1) >>> 0;
    const expected = (tupleHash(family, ip, tcp) + sequence + 1) >>> 0;
    const actual = word(tcp, 8);
    host.observer.compare?.(host.at, BigInt(actual), BigInt(expected), 32);
    return (actual - expected) >>> 0 < 4 ? 0 : -errno.EACCES;
  };
}

export const synCookieHelpers: Readonly<Record<string, HelperFunction>> = {
  tcp_raw_gen_syncookie_ipv4: generate(ipv4),
  tcp_raw_gen_syncookie_ipv6: generate(ipv6),
  tcp_raw_check_syncookie_ipv4: check(ipv4),
  tcp_raw_check_syncookie_ipv6: check(ipv6),
};
