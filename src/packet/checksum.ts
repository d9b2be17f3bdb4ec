/**
 * Internet checksums (RFC 1071): IPv4 header, TCP, UDP, ICMP and ICMPv6 with the
 * pseudo headers of RFC 9293 and RFC 8200 section 8.1, and the incremental update
 * of RFC 1624 (equation 3, which is right for zero where RFC 1141 is not).
 *
 * A UDP checksum of 0 over IPv4 means "none": it is valid and stays 0. What cannot
 * be computed (fragments, frames cut short, lengths that contradict the frame) is
 * `absent`. Not handled: the changed destination of IPv6 routing headers with
 * segments left.
 */
import type { ParsedFrame } from "./parse.ts";
import { parseFrame } from "./parse.ts";

/** One's complement sum of 16-bit words of `data[from … to)`, plus `initial`; not folded. */
export function sumWords(
  data: Uint8Array,
  from: number,
  to: number,
  initial = 0,
): number {
  let sum = initial;
  let at = from;
  for (; at + 1 < to; at += 2)
    sum += ((data[at] ?? 0) << 8) | (data[at + 1] ?? 0);
  if (at < to) sum += (data[at] ?? 0) << 8;
  return sum;
}

/** Folds a sum of words to the 16-bit checksum. */
export function foldChecksum(sum: number): number {
  let folded = sum;
  while (folded > 0xffff)
    folded = (folded % 0x1_0000) + Math.floor(folded / 0x1_0000);
  return ~folded & 0xffff;
}

/** The checksum of `data[from … to)`, its own field counted as it stands. */
export function internetChecksum(
  data: Uint8Array,
  from = 0,
  to = data.length,
): number {
  return foldChecksum(sumWords(data, from, to));
}

/** The checksum after one 16-bit word changed. */
export function updateChecksum(
  checksum: number,
  oldWord: number,
  newWord: number,
): number {
  return foldChecksum(
    (~checksum & 0xffff) + (~oldWord & 0xffff) + (newWord & 0xffff),
  );
}

export type ChecksumState = "good" | "bad" | "absent";

export interface ChecksumReport {
  readonly ipv4: ChecksumState;
  readonly transport: ChecksumState;
}

/** Does the frame carry the checksums it should? */
export function checkChecksums(data: Uint8Array): ChecksumReport {
  const parsed = parseFrame(data);
  const header = ipv4Header(parsed);
  const transport = transportPart(parsed);
  return {
    ipv4:
      header === undefined
        ? "absent"
        : verdict(internetChecksum(data, header.from, header.to) === 0),
    transport:
      transport === undefined || storedAt(data, transport) === "none"
        ? "absent"
        : verdict(foldChecksum(transportSum(parsed, transport)) === 0),
  };
}

/** A copy with every checksum that can be computed made right. */
export function refreshChecksums(data: Uint8Array): Uint8Array {
  const copy = data.slice();
  const parsed = parseFrame(copy);
  const header = ipv4Header(parsed);
  if (header !== undefined) {
    put(copy, header.from + 10, 0);
    put(copy, header.from + 10, internetChecksum(copy, header.from, header.to));
  }
  const transport = transportPart(parsed);
  if (transport !== undefined && storedAt(copy, transport) !== "none") {
    put(copy, transport.field, 0);
    const sum = foldChecksum(transportSum(parsed, transport));
    // RFC 768: a computed zero is sent as all ones.
    put(copy, transport.field, sum === 0 && parsed.l4 === "udp" ? 0xffff : sum);
  }
  return copy;
}

interface TransportPart {
  readonly from: number;
  readonly to: number;
  /** Offset of the checksum field. */
  readonly field: number;
  readonly pseudo: boolean;
  /** UDP over IPv4: zero means none. */
  readonly optional: boolean;
}

function verdict(good: boolean): ChecksumState {
  return good ? "good" : "bad";
}

function storedAt(
  data: Uint8Array,
  { field, optional }: TransportPart,
): "none" | "some" {
  return optional && data[field] === 0 && data[field + 1] === 0
    ? "none"
    : "some";
}

function ipv4Header(
  parsed: ParsedFrame,
): { readonly from: number; readonly to: number } | undefined {
  const { l3, l3Offset, ihl, data } = parsed;
  if (l3 !== "ipv4" || l3Offset === undefined || ihl === undefined)
    return undefined;
  const to = l3Offset + 4 * ihl;
  return ihl >= 5 && to <= data.length ? { from: l3Offset, to } : undefined;
}

function transportPart(parsed: ParsedFrame): TransportPart | undefined {
  const { data, l3, l3Offset, l4, l4Offset } = parsed;
  if (parsed.fragment !== "none") return undefined;
  if (l3Offset === undefined || l4Offset === undefined) return undefined;
  const total =
    l3 === "ipv4" ? word(data, l3Offset + 2) : 40 + word(data, l3Offset + 4);
  const to = l3Offset + total;
  // prettier-ignore
  const shape = l4 === "tcp" ? { size: 20, field: 16, pseudo: true }
    : l4 === "udp" ? { size: 8, field: 6, pseudo: true }
    : l4 === "icmp" ? { size: 4, field: 2, pseudo: false }
    : l4 === "icmpv6" ? { size: 4, field: 2, pseudo: true }
    : undefined;
  if (shape === undefined || to > data.length || to < l4Offset + shape.size)
    return undefined;
  return {
    from: l4Offset,
    to,
    field: l4Offset + shape.field,
    pseudo: shape.pseudo,
    optional: l4 === "udp" && l3 === "ipv4",
  };
}

function transportSum(parsed: ParsedFrame, part: TransportPart): number {
  const { data, l3, l3Offset = 0, protocol = 0 } = parsed;
  const body = sumWords(data, part.from, part.to);
  if (!part.pseudo) return body;
  const addresses = l3 === "ipv4" ? l3Offset + 12 : l3Offset + 8;
  const end = l3 === "ipv4" ? l3Offset + 20 : l3Offset + 40;
  return sumWords(data, addresses, end, body + protocol + part.to - part.from);
}

function word(data: Uint8Array, at: number): number {
  return ((data[at] ?? 0) << 8) | (data[at + 1] ?? 0);
}

function put(data: Uint8Array, at: number, value: number): void {
  data[at] = value >>> 8;
  data[at + 1] = value;
}
