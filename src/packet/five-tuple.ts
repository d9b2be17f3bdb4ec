/**
 * The flow a packet belongs to. Fragments and packets without ports have ports 0,
 * so that the fragments of one datagram are one flow.
 */
import { readField } from "./access.ts";
import type { ParsedFrame } from "./parse.ts";

export interface FiveTuple {
  readonly version: 4 | 6;
  readonly src: bigint;
  readonly dst: bigint;
  readonly protocol: number;
  readonly sport: number;
  readonly dport: number;
}

/** Undefined for what is no IP packet. */
export function fiveTuple(parsed: ParsedFrame): FiveTuple | undefined {
  const { l3, protocol } = parsed;
  if ((l3 !== "ipv4" && l3 !== "ipv6") || protocol === undefined)
    return undefined;
  const ports = parsed.fragment === "none";
  return {
    version: l3 === "ipv4" ? 4 : 6,
    src: readField(parsed, `${l3}.src`) ?? 0n,
    dst: readField(parsed, `${l3}.dst`) ?? 0n,
    protocol,
    sport: ports ? Number(readField(parsed, "l4.sport") ?? 0n) : 0,
    dport: ports ? Number(readField(parsed, "l4.dport") ?? 0n) : 0,
  };
}

/** The same flow seen from the other side. */
export function reverseTuple(tuple: FiveTuple): FiveTuple {
  return {
    ...tuple,
    src: tuple.dst,
    dst: tuple.src,
    sport: tuple.dport,
    dport: tuple.sport,
  };
}

/**
 * A short string that is equal exactly for packets of one flow (in one
 * direction); for tables of flows, where bigints would be slow. Not for people.
 * Frames that are no IP packets are one flow per EtherType.
 */
export function flowKey(parsed: ParsedFrame): string {
  const { data, l3, l3Offset, l4Offset, protocol } = parsed;
  if ((l3 !== "ipv4" && l3 !== "ipv6") || l3Offset === undefined)
    return String.fromCharCode(parsed.etherType ?? 0);
  const first = l3Offset + (l3 === "ipv4" ? 12 : 8);
  const end = l3Offset + (l3 === "ipv4" ? 20 : 40);
  const word = (at: number): number =>
    ((data[at] ?? 0) << 8) | (data[at + 1] ?? 0);
  let key = String.fromCharCode(protocol ?? 0);
  for (let at = first; at < end; at += 2) key += String.fromCharCode(word(at));
  const { l4 } = parsed;
  const ports =
    (l4 === "tcp" || l4 === "udp" || l4 === "sctp") &&
    parsed.fragment === "none" &&
    l4Offset !== undefined;
  if (!ports) return `${key}\0\0`;
  return key + String.fromCharCode(word(l4Offset), word(l4Offset + 2));
}
