/**
 * arr: packets by the low byte of the destination port. One path, one access: two
 * packets meet in a cell when those eight bits are equal, nothing else matters.
 *
 * What is no whole TCP or UDP packet over IPv4, fragments included, is dropped;
 * all else passes.
 */
import { array, drop, nf, pass, u64 } from "divisi/nf";

export default nf({
  name: "arr",
  state: {
    counts: array({ value: u64, capacity: 256 }),
  },
  handle(pkt, ctx) {
    const ip = pkt.ipv4;
    if (ip === undefined) return drop;
    const l4 = ip.l4;
    if (l4 === undefined) return drop;
    const count = ctx.state.counts.at(l4.dport & 255);
    count.value = u64(count.value + 1n);
    return pass;
  },
});
