/**
 * Probes: neighbours of a packet that a wrong NIC setting would send elsewhere.
 *
 * For every bit that a NIC can hash (IPv4 addresses, ports; every fourth bit of
 * IPv6 addresses) the packet with that bit flipped; the same addresses as another
 * packet type (TCP, UDP, another protocol, first and later fragment, with IP
 * options); and the reply at every other port. Where a program gives two of them
 * one state cell, they must reach one core: a key that hashes one bit too many, a
 * field dropped on one port or a table per port is seen at once.
 *
 * Knows nothing of the program or of a plan.
 */
import {
  fieldBits,
  parseFrame,
  readField,
  refreshChecksums,
  setField,
  type FieldName,
} from "../packet/index.ts";
import type { TracePacket } from "./packet.ts";

const hashable: readonly FieldName[] = [
  "ipv4.src",
  "ipv4.dst",
  "ipv6.src",
  "ipv6.dst",
  "l4.sport",
  "l4.dport",
];

const swaps: readonly (readonly [FieldName, FieldName])[] = [
  ["eth.src", "eth.dst"],
  ["ipv4.src", "ipv4.dst"],
  ["ipv6.src", "ipv6.dst"],
  ["l4.sport", "l4.dport"],
];

/** The base packet first, then its neighbours, 1 ns apart; `ports` is how many ports there are. */
export function* probes(
  base: TracePacket,
  ports: number,
): Generator<TracePacket> {
  let time = base.time;
  const at = (data: Uint8Array, port = base.port): TracePacket => ({
    data,
    wireLength: data.length,
    time: time++,
    port,
  });
  yield at(base.data);
  for (const data of [...bitFlips(base.data), ...otherTypes(base.data)])
    yield at(data);
  const reply = swapped(base.data);
  for (let port = 0; port < ports; port++) {
    if (port === base.port) continue;
    yield at(reply, port);
    yield at(base.data, port);
    for (const data of otherTypes(reply)) yield at(data, port);
  }
}

/**
 * Probes of several packets, one base after the other, 1 µs apart and behind
 * `after`. Of equal frames only the first is a base; at most `limit` are.
 */
export function* probesOf(
  bases: Iterable<TracePacket>,
  options: {
    readonly ports: number;
    readonly after: bigint;
    readonly limit: number;
  },
): Generator<TracePacket> {
  const seen = new Set<string>();
  let time = options.after;
  for (const base of bases) {
    const name = base.data.join();
    if (seen.has(name)) continue;
    if (seen.size === options.limit) return;
    seen.add(name);
    for (const probe of probes(base, options.ports)) {
      time += 1000n;
      yield { ...probe, time };
    }
  }
}

function* bitFlips(data: Uint8Array): Generator<Uint8Array> {
  const parsed = parseFrame(data);
  for (const field of hashable) {
    const value = readField(parsed, field);
    if (value === undefined) continue;
    const { length } = fieldBits(field);
    for (let bit = 0; bit < length; bit += length > 32 ? 4 : 1) {
      const flipped = setField(parsed, field, value ^ (1n << BigInt(bit)));
      if (flipped !== undefined) yield refreshChecksums(flipped);
    }
  }
}

/** The same addresses in packets of other types, as far as the frame has room. */
function* otherTypes(data: Uint8Array): Generator<Uint8Array> {
  const parsed = parseFrame(data);
  const protocol = readField(parsed, "ipv4.protocol");
  if (protocol === undefined) return;
  for (const other of [6n, 17n, 1n, 132n])
    if (other !== protocol) {
      const changed = setField(parsed, "ipv4.protocol", other);
      if (changed !== undefined) yield refreshChecksums(changed);
    }
  for (const fragment of [0x2000n, 0x2001n, 0x0001n]) {
    const changed = setField(parsed, "ipv4.fragment", fragment);
    if (changed !== undefined) yield refreshChecksums(changed);
  }
  const options = withOptions(data, parsed.l3Offset, parsed.ihl);
  if (options !== undefined) yield refreshChecksums(options);
}

/** Four bytes of no-operation options behind the IPv4 header. */
function withOptions(
  data: Uint8Array,
  l3Offset: number | undefined,
  ihl: number | undefined,
): Uint8Array | undefined {
  if (l3Offset === undefined || ihl === undefined || ihl < 5 || ihl > 14)
    return undefined;
  const end = l3Offset + 4 * ihl;
  if (end > data.length) return undefined;
  const longer = new Uint8Array(data.length + 4);
  longer.set(data.subarray(0, end));
  longer.fill(1, end, end + 4);
  longer.set(data.subarray(end), end + 4);
  const parsed = parseFrame(longer);
  const length = readField(parsed, "ipv4.length") ?? 0n;
  const headed = setField(parsed, "ipv4.ihl", BigInt(ihl + 1));
  if (headed === undefined) return undefined;
  return setField(
    parseFrame(headed),
    "ipv4.length",
    BigInt.asUintN(16, length + 4n),
  );
}

function swapped(data: Uint8Array): Uint8Array {
  let result = data;
  for (const [one, other] of swaps) {
    const parsed = parseFrame(result);
    const left = readField(parsed, one);
    const right = readField(parsed, other);
    if (left === undefined || right === undefined) continue;
    const half = setField(parsed, one, right);
    if (half === undefined) continue;
    result = setField(parseFrame(half), other, left) ?? result;
  }
  return refreshChecksums(result);
}
