import { drop, nf, pass } from "divisi/nf";

export default nf({
  name: "example",
  handle(pkt) {
    const ip = pkt.ipv4;
    if (ip === undefined) return drop;
    let sum = ip.src * 1_000_000;
    sum += ip.dst * 2_000_000;
    return sum > 5 ? pass : drop;
  },
});
