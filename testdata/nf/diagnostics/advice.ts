import { array, drop, nf, pass, struct, u32 } from "divisi/nf";
import { u8 } from "divisi";
const Seen = struct("seen", { a: u32, b: u32 });

export default nf({
  name: "example",
  state: { seen: array({ value: Seen, capacity: 1 }) },
  handle(pkt, ctx) {
    const ip = pkt.ipv4;
    if (ip === undefined) return drop;
    const r = ctx.state.seen.at(0);
    r.a = Math.trunc(Math.floor((ip.src - 3000000000) / 7));
    r.b ^= ip.dst;
    r.b -= ip.ttl + 1;
    r.b++;
    const s = ip.src - ip.dst;
    const t = s >> 3;
    return t === 1 << 32 ? pass : drop;
  },
});
