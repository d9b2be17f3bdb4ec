import { be32, drop, hashMap, nf, pass, struct, u16, u8, vector } from "divisi/nf";
const Flow = struct("flow", { port: u16, length: u16 });
const Key = struct("key", { address: be32, bytes: vector(u8, 3) });

export default nf({
  name: "example",
  state: { flows: hashMap({ key: be32, value: Flow, capacity: 1024 }) },
  handle(pkt, ctx) {
    const ip = pkt.ipv4;
    if (ip === undefined) return drop;
    const l4 = ip.l4;
    if (l4 === undefined) return drop;
    const { flows } = ctx.state;
    ip.ttl = ip.ttl - 1;
    l4.dport = pkt.length + 1;
    flows.set(ip.src - 1, 5);
    flows.set(ip.src, { port: ip.dst, length: pkt.length + 1 });
    const key = Key({ address: ip.src + 1, bytes: [1, 2, 256] });
    return key.address === 0 ? pass : drop;
  },
});
