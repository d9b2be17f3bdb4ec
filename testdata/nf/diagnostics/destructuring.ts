import { drop, nf, pass } from "divisi/nf";
const web = [80, 443];

export default nf({
  name: "example",
  handle(pkt) {
    const ip = pkt.ipv4;
    if (ip === undefined) return drop;
    const l4 = ip.l4;
    if (l4 === undefined) return drop;
    let { sport, dport } = l4;
    const [first] = web;
    return sport === dport || dport === first ? drop : pass;
  },
});
