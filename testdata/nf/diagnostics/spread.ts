import { drop, nf, pass } from "divisi/nf";
const base = { port: 0, protocol: 6 };

export default nf({
  name: "example",
  handle(pkt) {
    const ip = pkt.ipv4;
    if (ip === undefined) return drop;
    const l4 = ip.l4;
    if (l4 === undefined) return drop;
    const key = { ...base, port: l4.dport };
    return key.port === 80 ? pass : drop;
  },
});
