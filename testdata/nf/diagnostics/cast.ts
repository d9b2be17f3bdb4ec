import { drop, nf, pass, u16 } from "divisi/nf";

export default nf({
  name: "example",
  handle(pkt) {
    const ip = pkt.ipv4;
    if (ip === undefined) return drop;
    const l4 = ip.l4;
    if (l4 === undefined) return drop;
    const port = l4.dport as u16;
    return port === 80 ? pass : drop;
  },
});
