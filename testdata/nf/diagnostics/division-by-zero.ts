import { div, drop, nf, pass, u64 } from "divisi/nf";

export default nf({
  name: "example",
  handle(pkt) {
    const ip = pkt.ipv4;
    if (ip === undefined) return drop;
    const share = div(pkt.length, ip.ttl);
    const rest = ip.id % ip.tos;
    const wide = u64(ip.src) / u64(ip.dst);
    return share + rest > 50 || wide > 2n ? drop : pass;
  },
});
