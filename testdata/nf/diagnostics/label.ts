import { nf, pass } from "divisi/nf";

export default nf({
  name: "example",
  handle(pkt) {
    outer: for (let i = 0; i < 4; i++) {
      if (pkt.u8(i) === 0) break outer;
    }
    return pass;
  },
});
