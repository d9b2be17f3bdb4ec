import { drop, nf, pass, u32 } from "divisi/nf";

export default nf({
  name: "example",
  handle(pkt) {
    const ip = pkt.ipv4;
    if (ip === undefined) return drop;
    let sum = 0;
    for (let i = 0; i < ip.dst; i++) sum = u32(sum + i);
    for (let at = pkt.length; at !== 7; at += 2) sum = u32(sum + at);
    for (;;) {
      if (sum > 3) break;
    }
    return sum > 8 ? drop : pass;
  },
});
