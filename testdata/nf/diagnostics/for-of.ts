import { drop, nf, pass } from "divisi/nf";
const allowed = [80, 443];

export default nf({
  name: "example",
  handle(pkt) {
    for (const port of allowed) if (pkt.length === port) return pass;
    return drop;
  },
});
