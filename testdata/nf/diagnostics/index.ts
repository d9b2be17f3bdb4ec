import { array, drop, nf, pass, struct, u32, vector } from "divisi/nf";
const Counts = struct("counts", { packets: vector(u32, 16) });
const primes = [2, 3, 5, 7];

export default nf({
  name: "example",
  state: { counts: array({ value: Counts, capacity: 256 }) },
  handle(pkt, ctx) {
    const ip = pkt.ipv4;
    if (ip === undefined) return drop;
    const l4 = ip.l4;
    if (l4 === undefined) return drop;
    const { counts } = ctx.state;
    const count = counts.at(l4.dport);
    count.packets[ip.protocol] = 1;
    return primes[l4.sport] === 7 ? drop : pass;
  },
});
