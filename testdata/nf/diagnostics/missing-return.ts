import { drop, nf, pass } from "divisi/nf";

export default nf({
  name: "example",
  handle(pkt) {
    const ip = pkt.ipv4;
    if (ip === undefined) return drop;
    const l4 = ip.l4;
    if (l4 === undefined) return drop;
    if (verdict(l4.dport)) return pass;
    if (l4.sport === 80) return drop;
  },
});

function verdict(port: number): boolean {
  if (port === 80) return true;
}
