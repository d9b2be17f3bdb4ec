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
import type { Payload, ValueOf } from "divisi/nf";
import { payloadOf } from "./shared/flow.ts";

/** Places for signatures. */
const places = 8;

const Signature = struct("signature", { value: u64, mask: u64, length: u32 });

type Signature = ValueOf<typeof Signature>;

/** Does the signature end in the first `depth` bytes of the payload? */
function holds(payload: Payload, signature: Signature, depth: number): boolean {
  const { value, mask, length } = signature;
  // The last eight bytes, as a number in network order.
  let window = 0n;
  for (let at = 0; at < depth; at++) {
    const byte = payload.u8(at);
    if (byte === undefined) return false;
    window = u64((window << 8n) | u64(byte));
    if (length <= at + 1 && (window & mask) === value) return true;
  }
  return false;
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

    for (let place = 0; place < places; place++) {
      const signature = signatures.at(place);
      if (signature.length === 0) continue;
      if (!holds(payload, signature, depth)) continue;
      const count = matches.at(place);
      count.value = u64(count.value + 1n);
      return drop;
    }
    return pass;
  },
});
