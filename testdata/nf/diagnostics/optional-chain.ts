import { drop, nf, pass } from "divisi/nf";

export default nf({
  name: "example",
  handle(pkt) {
    return pkt.ipv4?.protocol === 6 ? pass : drop;
  },
});
