import { drop, nf, pass } from "divisi/nf";

export default nf({
  name: "example",
  handle(pkt) {
    const ip = pkt.ipv4;
    if (ip === undefined) return drop;
    const l4 = ip.l4;
    if (l4 === undefined) return drop;
    return isAny(l4.dport, 80, 443) ? pass : drop;
  },
});

function isAny(port: number, ...ports: number[]): boolean {
  return port === ports[0];
}
