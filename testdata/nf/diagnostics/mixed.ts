import { array, drop, nf, pass, u64 } from "divisi/nf";

export default nf({
  name: "example",
  state: { counts: array({ value: u64, capacity: 1 }) },
  handle(pkt, ctx) {
    const ip = pkt.ipv4;
    if (ip === undefined) return drop;
    const { counts } = ctx.state;
    const count = counts.at(0);
    count.value = u64(count.value + pkt.length);
    count.value = ip.length;
    return count.value < ip.src ? pass : drop;
  },
});
