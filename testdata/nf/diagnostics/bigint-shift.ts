import { drop, nf, pass, u64 } from "divisi/nf";

export default nf({
  name: "example",
  handle(pkt) {
    const ip = pkt.ipv4;
    if (ip === undefined) return drop;
    const half = u64(ip.src) >>> 8n;
    return half === 10n ? pass : drop;
  },
});
