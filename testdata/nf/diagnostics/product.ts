import { drop, nf, pass, u32 } from "divisi/nf";

export default nf({
  name: "example",
  handle(pkt) {
    const ip = pkt.ipv4;
    if (ip === undefined) return drop;
    const mixed = ip.src * 0x9e3779b1;
    return u32(mixed) % 2 === 0 ? pass : drop;
  },
});
