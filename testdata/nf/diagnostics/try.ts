import { drop, nf, pass } from "divisi/nf";

export default nf({
  name: "example",
  handle(pkt) {
    try {
      return pass;
    } catch {
      return drop;
    }
  },
});
