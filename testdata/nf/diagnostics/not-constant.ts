import { drop, nf, pass, u32 } from "divisi/nf";

const limit = compute(5);

export default nf({
  name: "example",
  config: { most: u32(Math.random()) },
  handle(pkt) {
    return pkt.length > limit ? drop : pass;
  },
});

function compute(x: number): number {
  if (x > 3) return 100;
  return x;
}
