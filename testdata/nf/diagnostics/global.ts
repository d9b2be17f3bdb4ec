import { drop, nf, pass } from "divisi/nf";

export default nf({
  name: "example",
  handle(pkt) {
    const ip = pkt.ipv4;
    if (ip === undefined) return drop;
    const l4 = ip.l4;
    if (l4 === undefined) return drop;
    console.log(l4.dport);
    const chance = Math.random();
    const now = Date.now();
    const half = Math.floor(l4.dport);
    if (process.argv.length > 2) return drop;
    const wide = BigInt(l4.dport);
    return chance > 0 && now > 0 && half > 0 && wide > 0n ? pass : drop;
  },
});
