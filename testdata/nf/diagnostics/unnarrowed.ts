import { drop, hashMap, nf, pass, u16, u32 } from "divisi/nf";

export default nf({
  name: "example",
  state: { flows: hashMap({ key: u16, value: u32, capacity: 1024 }) },
  handle(pkt, ctx) {
    if (pkt.ipv4.ttl < 2) return drop;
    const l4 = pkt.l4;
    const flow = ctx.state.flows.get(l4.dport);
    flow.value = 1;
    return pass;
  },
});
