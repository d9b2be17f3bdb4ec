import { nf, pass } from "divisi/nf";

export default nf({
  name: "example",
  handle(pkt) {
    pkt.length;
    return pass;
  },
});
