import { drop, nf, pass, u32 } from "divisi/nf";

export default nf({
  name: "example",
  config: { most: u32(10) },
  handle(pkt, ctx) {
    const ip = pkt.ipv4;
    if (ip === undefined) return drop;
    const limit = 64;
    limit = 65;
    ip.ihl = 5;
    ctx.config.most = 3;
    return ip.ttl > limit ? drop : pass;
  },
});
