/**
 * r3: packets per source and per destination address. A negative test: no hash of
 * packet fields keeps both the packets of one source and the packets to one
 * destination on one core, so sharding both tables at once must be refused.
 *
 * Every IPv4 packet passes, also when a table is full; anything else is dropped.
 */
import { be32, drop, hashMap, nf, pass, u64 } from "divisi/nf";

export default nf({
  name: "r3",
  state: {
    sources: hashMap({ key: be32, value: u64, capacity: 65_536 }),
    destinations: hashMap({ key: be32, value: u64, capacity: 65_536 }),
  },
  handle(pkt, ctx) {
    const { sources, destinations } = ctx.state;
    const ip = pkt.ipv4;
    if (ip === undefined) return drop;

    const sent = sources.get(ip.src);
    if (sent === undefined) sources.insert(ip.src, 1n);
    else sent.value = u64(sent.value + 1n);

    const received = destinations.get(ip.dst);
    if (received === undefined) destinations.insert(ip.dst, 1n);
    else received.value = u64(received.value + 1n);

    return pass;
  },
});
