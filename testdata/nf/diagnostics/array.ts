import { drop, nf, pass } from "divisi/nf";

export default nf({
  name: "example",
  handle(pkt) {
    const ip = pkt.ipv4;
    if (ip === undefined) return drop;
    const l4 = ip.l4;
    if (l4 === undefined) return drop;
    const ports = [l4.sport, l4.dport];
    return ports[0] === ports[1] ? drop : pass;
  },
});
