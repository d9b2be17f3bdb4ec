import { drop, nf, pass } from "divisi/nf";

export default nf({
  name: "example",
  handle(pkt) {
    let packets = 0;
    const before = packets++;
    let after = 0;
    const copy = (after = before);
    return copy === after ? pass : drop;
  },
});
