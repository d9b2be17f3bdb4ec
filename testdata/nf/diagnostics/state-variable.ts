import { be32, drop, hashMap, nf, pass, u32 } from "divisi/nf";

export default nf({
  name: "example",
  state: {
    left: hashMap({ key: be32, value: u32, capacity: 64 }),
    right: hashMap({ key: be32, value: u32, capacity: 64 }),
  },
  handle(pkt, ctx) {
    const ip = pkt.ipv4;
    if (ip === undefined) return drop;
    const { left, right } = ctx.state;
    const side = ip.src > ip.dst ? left : right;
    return side.has(ip.src) ? pass : drop;
  },
});
