import { drop, nf, pass } from "divisi/nf";

export default nf({
  name: "example",
  handle(pkt) {
    const ip = pkt.ipv4;
    if (ip === undefined) return drop;
    let limit = 0;
    switch (ip.protocol) {
      case 6:
        limit = 100;
      case 17:
        limit = 50;
        break;
      default:
        limit = 10;
    }
    return pkt.length > limit ? drop : pass;
  },
});
