/**
 * wan-dedup: the duplicate suppression of a WAN optimizer. A payload that the same
 * endpoints (addresses, ports, protocol) have sent within the last `expiry`
 * nanoseconds is dropped and counted; all else goes out by the other port.
 *
 *   seen within the window  count it, drop. The window begins with the packet that
 *                           was let through: a sender that repeats itself gets one
 *                           through per window.
 *   new                     remember it (table full: not), out(the other port)
 *   payload empty or above 512 bytes, no whole TCP or UDP packet over IPv4, a
 *   fragment                out(the other port)
 *
 * The length and two fingerprints of 32 bits stand for a payload: that two of one
 * flow are taken for equal has a chance of 2^-64, if nobody makes them. Of TCP the
 * sequence number belongs to the fingerprints: what is sent twice on purpose passes,
 * a segment that arrives twice does not. A payload ends with the frame: padding
 * belongs to it.
 *
 * Not done: replacing payloads by references that a box at the far side expands. Both
 * boxes would have to keep the payloads themselves, which no map value of bounded size
 * holds for a useful window, and a lost reference could not be asked for, since a
 * network function sends no packets of its own.
 */
import {
  be16,
  be32,
  counter,
  drop,
  hashMap,
  mul32,
  nf,
  out,
  struct,
  u32,
  u64,
  u8,
} from "divisi/nf";
import type {
  Counter,
  ExpiringMap,
  Ipv4Header,
  Payload,
  Ports,
  ValueOf,
} from "divisi/nf";
import { payloadOf } from "./shared/flow.ts";
import { lan, wan } from "./shared/ports.ts";

/** The longest payload that takes part, in words of four bytes. */
const mostWords = 128;

const PayloadKey = struct("payload_key", {
  source: be32,
  destination: be32,
  source_port: be16,
  destination_port: be16,
  protocol: u8,
  length: u32,
  first: u32,
  second: u32,
});
const Seen = struct("seen", { duplicates: u32 });

type PayloadKey = ValueOf<typeof PayloadKey>;
type Payloads = ExpiringMap<typeof PayloadKey, typeof Seen>;

/** One word more in a fingerprint. */
function mix(fingerprint: number, word: number): number {
  const product = mul32(fingerprint ^ word, 0x9e37_79b1);
  return u32(product ^ (product >>> 15));
}

/**
 * The second fingerprint's step shifts by another number: with the same one, a change
 * of a word's top bit and of bits 31 and 16 of the next would escape both.
 */
function mixOther(fingerprint: number, word: number): number {
  const product = mul32(fingerprint ^ word, 0x85eb_ca6b);
  return u32(product ^ (product >>> 13));
}

function finish(fingerprint: number): number {
  const product = mul32(fingerprint, 0x85eb_ca6b);
  return u32(product ^ (product >>> 13));
}

function keyOf(ip: Ipv4Header, l4: Ports, payload: Payload): PayloadKey {
  let first = 1;
  let second = 2;
  const tcp = ip.tcp;
  if (tcp !== undefined) {
    first = mix(first, tcp.seq);
    second = mixOther(second, tcp.seq);
  }
  for (let at = 0; at < mostWords; at++) {
    const word = payload.u32(4 * at);
    if (word === undefined) break;
    first = mix(first, word);
    second = mixOther(second, word);
  }
  const rest = u32(payload.length & 0xffff_fffc);
  for (let at = 0; at < 3; at++) {
    const byte = payload.u8(rest + at);
    if (byte === undefined) break;
    first = mix(first, byte);
    second = mixOther(second, byte);
  }
  return PayloadKey({
    source: ip.src,
    destination: ip.dst,
    source_port: l4.sport,
    destination_port: l4.dport,
    protocol: ip.protocol,
    length: payload.length,
    first: finish(first),
    second: finish(second),
  });
}

/** Was it seen within the window? Remembers what was not. */
function isDuplicate(
  payloads: Payloads,
  dropped: Counter,
  key: PayloadKey,
): boolean {
  const seen = payloads.get(key);
  if (seen === undefined) {
    payloads.insert(key, { duplicates: 0 });
    return false;
  }
  seen.duplicates = u32(seen.duplicates + 1);
  dropped.increment();
  return true;
}

export default nf({
  name: "wan-dedup",
  ports: ["lan", "wan"],
  config: {
    capacity: u32(65_536),
    /** Nanoseconds: 100 ms. */
    expiry: u64(100_000_000n),
  },
  state: (config) => ({
    payloads: hashMap({
      key: PayloadKey,
      value: Seen,
      capacity: config.capacity,
      expireAfter: config.expiry,
    }),
    dropped: counter(),
  }),
  handle(pkt, ctx) {
    const { payloads, dropped } = ctx.state;
    const other = ctx.port === lan ? wan : lan;
    const ip = pkt.ipv4;
    if (ip === undefined) return out(other);

    const l4 = ip.l4;
    const payload = payloadOf(ip);
    if (l4 === undefined || payload === undefined) return out(other);
    const { length } = payload;
    if (length === 0 || length > 4 * mostWords) return out(other);

    const key = keyOf(ip, l4, payload);
    if (isDuplicate(payloads, dropped, key)) return drop;
    return out(other);
  },
});
