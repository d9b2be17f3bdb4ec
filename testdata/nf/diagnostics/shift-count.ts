import { drop, nf, pass, u64 } from "divisi/nf";

export default nf({
  name: "example",
  handle(pkt) {
    const ip = pkt.ipv4;
    if (ip === undefined) return drop;
    const mask = 1 << ip.ttl;
    const wide = 1n << u64(ip.ttl);
    return mask === 0 && wide === 0n ? pass : drop;
  },
});
