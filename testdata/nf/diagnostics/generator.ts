import { drop, nf, pass } from "divisi/nf";

export default nf({
  name: "example",
  handle(pkt) {
    const lengths = count(pkt.length);
    return lengths === undefined ? drop : pass;
  },
});

function* count(length: number) {
  yield length;
}
