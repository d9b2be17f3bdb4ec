import { drop, nf, pass } from "divisi/nf";

export default nf({
  name: "example",
  handle(pkt) {
    const ip = pkt.ipv4;
    if (ip === undefined) return drop;
    const l4 = ip.l4;
    if (l4 === undefined) return drop;
    const name = l4.dport === 80 ? "sport" : "dport";
    return l4[name] === 80 ? pass : drop;
  },
});
