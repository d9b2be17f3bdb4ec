import { drop, nf, pass } from "divisi/nf";

export default nf({
  name: "example",
  handle(pkt) {
    return depth(pkt.length) > 4 ? drop : pass;
  },
});

function depth(length: number): number {
  if (length === 0) return 0;
  return depth(length - 1) + 1;
}
