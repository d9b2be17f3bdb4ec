import { drop, nf, pass } from "divisi/nf";

export default nf({
  name: "example",
  handle(pkt) {
    return pkt.ipv4!.ttl > 1 ? pass : drop;
  },
});
