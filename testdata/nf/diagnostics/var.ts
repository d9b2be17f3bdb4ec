import { drop, nf, pass } from "divisi/nf";

export default nf({
  name: "example",
  handle(pkt) {
    var length = pkt.length;
    return length > 100 ? drop : pass;
  },
});
