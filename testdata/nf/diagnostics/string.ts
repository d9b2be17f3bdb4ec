import { drop, nf, pass } from "divisi/nf";

export default nf({
  name: "example",
  handle(pkt) {
    const ip = pkt.ipv4;
    if (ip === undefined) return drop;
    const l4 = ip.l4;
    if (l4 === undefined) return drop;
    const kind = l4.dport === 80 ? "web" : "other";
    const text = `port ${l4.dport}`;
    return kind === "web" && text !== kind ? pass : drop;
  },
});
