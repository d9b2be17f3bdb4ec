import { drop, nf, pass } from "divisi/nf";

export default nf({
  name: "example",
  handle(pkt) {
    const first = pkt.u8(0) ?? 0;
    return first === 255 ? drop : pass;
  },
});
