import { drop, nf, pass } from "divisi/nf";

export default nf({
  name: "example",
  handle(pkt) {
    const ip = pkt.ipv4;
    if (ip === undefined) return drop;
    const l4 = ip.l4;
    if (l4 === undefined) return drop;
    return isWeb(l4.dport, 80) ? pass : drop;
  },
});

function isWeb(port: number, wanted = 443): boolean {
  return port === wanted;
}
