import { drop, nf, pass } from "divisi/nf";

export default nf({
  name: "example",
  handle(pkt) {
    if (this.name === undefined) return drop;
    return pkt.length > 60 ? pass : drop;
  },
});
