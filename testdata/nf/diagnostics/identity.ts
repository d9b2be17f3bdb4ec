import { be32, drop, hashMap, nf, pass, u32 } from "divisi/nf";

export default nf({
  name: "example",
  state: { flows: hashMap({ key: be32, value: u32, capacity: 1024 }) },
  handle(pkt, ctx) {
    const ip = pkt.ipv4;
    if (ip === undefined) return drop;
    const { flows } = ctx.state;
    const one = flows.get(ip.src);
    const other = flows.get(ip.dst);
    if (one === undefined || other === undefined) return drop;
    return one === other ? drop : pass;
  },
});
