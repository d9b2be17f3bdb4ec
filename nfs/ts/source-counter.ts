/**
 * source-counter: packets and bytes per IPv4 source address. Every frame
 * passes; what is not IPv4 passes uncounted, as does a source that finds the
 * table full.
 */
import { be32, hashMap, nf, pass, u64 } from "divisi/nf";
import { Counters, count } from "./shared/counters.ts";

export default nf({
  name: "source-counter",
  state: {
    sources: hashMap({ key: be32, value: Counters, capacity: 65_536 }),
  },
  handle(pkt, ctx) {
    const { sources } = ctx.state;
    const ip = pkt.ipv4;
    if (ip === undefined) return pass;
    const source = sources.get(ip.src);
    if (source === undefined) {
      sources.insert(ip.src, { packets: 1n, bytes: u64(pkt.length) });
    } else {
      count(source, pkt.length);
    }
    return pass;
  },
});
