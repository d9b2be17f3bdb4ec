import { be32, drop, hashMap, nf, pass, u32 } from "divisi/nf";

export default nf({
  name: "example",
  state: { flows: hashMap({ key: be32, value: u32, capacity: 1024 }) },
  handle(pkt, ctx) {
    const ip = pkt.ipv4;
    if (ip === undefined) return drop;
    const { flows } = ctx.state;
    const flow = flows.get(ip.src);
    if (flow === undefined) return drop;
    flows.delete(ip.dst);
    flow.value = 7;
    return pass;
  },
});
