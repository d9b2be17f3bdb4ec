import { nf, pass } from "divisi/nf";

export default nf({
  name: "example",
  handle(pkt) {
    if (pkt.length < 60) throw new Error("too short");
    return pass;
  },
});
