import { drop, nf, pass } from "divisi/nf";

export default nf({
  name: "example",
  handle(pkt) {
    const half = pkt.length / 2;
    return half > 50 ? drop : pass;
  },
});
