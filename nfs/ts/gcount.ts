/**
 * gcount: packets per source address, and the number that its last packet had
 * among all packets. A negative test: `sources` can be sharded, but the old value
 * of `total` is stored, so the one counter can be neither sharded nor summed.
 *
 * Every IPv4 packet passes, also when the table is full (it is counted in `total`
 * all the same); anything else is dropped.
 */
import { be32, counter, drop, hashMap, nf, pass, struct, u64 } from "divisi/nf";

const Source = struct("source", { packets: u64, sequence: u64 });

export default nf({
  name: "gcount",
  state: {
    sources: hashMap({ key: be32, value: Source, capacity: 65_536 }),
    total: counter(),
  },
  handle(pkt, ctx) {
    const { sources, total } = ctx.state;
    const ip = pkt.ipv4;
    if (ip === undefined) return drop;

    const sequence = total.fetchAdd(1);
    const source = sources.get(ip.src);
    if (source === undefined) {
      sources.insert(ip.src, { packets: 1n, sequence });
    } else {
      source.packets = u64(source.packets + 1n);
      source.sequence = sequence;
    }
    return pass;
  },
});
