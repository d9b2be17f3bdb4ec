import { drop, nf, pass } from "divisi/nf";

export default nf({
  name: "example",
  handle(pkt) {
    const ip = pkt.ipv4;
    if (ip === undefined) return drop;
    if (ip.ttl > 1 {
      return pass;
    }
    return drop;
  },
});
