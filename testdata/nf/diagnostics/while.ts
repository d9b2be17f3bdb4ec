import { drop, nf, pass, u32 } from "divisi/nf";

export default nf({
  name: "example",
  handle(pkt) {
    let sum = 0;
    let i = 0;
    while (i < 4) {
      sum = u32(sum + i);
      i++;
    }
    do {
      sum = u32(sum + 1);
    } while (sum < 10);
    return sum > 8 ? drop : pass;
  },
});
