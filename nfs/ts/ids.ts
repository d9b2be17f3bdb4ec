/**
 * ids: drops TCP and UDP packets whose payload holds a listed signature. User space
 * loads `signatures` before the start and nobody writes it: up to eight strings of up
 * to eight bytes, each as a number in network order with a mask of the bits that
 * count (length 0: none).
 *
 * A signature may begin anywhere in the first `depth` bytes of the payload and must
 * end there. The first in the order of the list that is found is counted in
 * `matches`, and the packet dropped. All else passes: what is no whole TCP or UDP
 * packet over IPv4, fragments included, too.
 *
 * Not seen: a signature that is split over packets.
 */
import { array, drop, nf, pass, struct, u32, u64 } from "divisi/nf";
import type { ArrayMap, Payload } from "divisi/nf";
import { payloadOf } from "./shared/flow.ts";

/** Places for signatures. */
const places = 8;

const Signature = struct("signature", { value: u64, mask: u64, length: u32 });

type Signatures = ArrayMap<typeof Signature>;

/** Behind the last place with a signature. */
function endOf(signatures: Signatures): number {
  let end = 0;
  for (let place = 0; place < places; place++) {
    if (signatures.at(place).length !== 0) end = place + 1;
  }
  return end;
}

/** 1n where x is 0, else 0n. */
function isZero(x: bigint): bigint {
  return 1n - (u64(x | u64(0n - x)) >> 63n);
}

/**
 * Which of the signatures before `end` end in the first `depth` bytes: a bit for each.
 *
 * Without a branch on what is found: the verifier would follow both ways of each, for
 * each byte, beyond what it has patience for.
 */
function search(
  signatures: Signatures,
  end: number,
  payload: Payload,
  depth: number,
): bigint {
  let found = 0n;
  // The last eight bytes, as a number in network order.
  let window = 0n;
  for (let at = 0; at < depth; at++) {
    const byte = payload.u8(at);
    if (byte === undefined) break;
    window = u64((window << 8n) | u64(byte));
    for (let place = 0; place < places; place++) {
      if (place >= end) break;
      const { value, mask, length } = signatures.at(place);
      const isEqual = isZero(u64((window & mask) ^ value));
      const isEarly = u64(u64(at + 1) - u64(length)) >> 63n;
      found = u64(found | ((isEqual & (1n - isEarly)) << u64(place)));
    }
  }
  return found;
}

export default nf({
  name: "ids",
  config: {
    /** Bytes of the payload, at most 128. */
    depth: u32(64),
  },
  state: {
    signatures: array({ value: Signature, capacity: places }),
    matches: array({ value: u64, capacity: places }),
  },
  handle(pkt, ctx) {
    const { signatures, matches } = ctx.state;
    const { depth } = ctx.config;
    const ip = pkt.ipv4;
    if (ip === undefined) return pass;

    const payload = payloadOf(ip);
    if (payload === undefined) return pass;

    const end = endOf(signatures);
    if (end === 0) return pass;
    const found = search(signatures, end, payload, depth);
    for (let place = 0; place < places; place++) {
      if (signatures.at(place).length === 0) continue;
      if (((found >> u64(place)) & 1n) === 0n) continue;
      const count = matches.at(place);
      count.value = u64(count.value + 1n);
      return drop;
    }
    return pass;
  },
});
