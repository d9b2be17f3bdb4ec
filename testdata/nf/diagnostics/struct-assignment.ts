import { be32, drop, hashMap, nf, pass, struct, u32, vector } from "divisi/nf";
const Pair = struct("pair", { source: be32, packets: u32 });
const Flow = struct("flow", { last: Pair, pairs: vector(Pair, 2) });

export default nf({
  name: "example",
  state: { flows: hashMap({ key: be32, value: Flow, capacity: 1024 }) },
  handle(pkt, ctx) {
    const ip = pkt.ipv4;
    if (ip === undefined) return drop;
    const { flows } = ctx.state;
    const flow = flows.get(ip.src);
    const other = flows.get(ip.dst);
    if (flow === undefined || other === undefined) return drop;
    flow.last = other.last;
    flow.pairs[1] = Pair({ source: ip.src, packets: 1 });
    return pass;
  },
});
