import { drop, nf, pass, u32 } from "divisi/nf";
let packets = 0;

export default nf({
  name: "example",
  handle(pkt) {
    packets = u32(packets + 1);
    return packets > 10 ? drop : pass;
  },
});
