import { drop, nf, pass } from "divisi/nf";

export default nf({
  name: "example",
  handle(pkt) {
    const seen = new Map<number, number>();
    return seen.size > pkt.length ? drop : pass;
  },
});
