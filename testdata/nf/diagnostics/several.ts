import { drop, nf, pass } from "divisi/nf";

var packets = 0;

export default nf({
  name: "example",
  handle(pkt) {
    const ip = pkt.ipv4;
    if (ip.ttl == 1) return drop;
    while (packets < 10) packets++;
    ip.ttl = ip.ttl - 1;
    return ip.src >> 24 === 10 ? pass : redirect(0.5);
  },
});
