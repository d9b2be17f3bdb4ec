import { drop, nf, pass } from "divisi/nf";

export default nf({
  name: "example",
  handle(pkt) {
    const share = pkt.length * 0.5;
    return share > 100 ? drop : pass;
  },
});
