import { drop, nf, pass } from "divisi/nf";
const limit = 100;
if (limit > 50) {
  report();
}

export default nf({
  name: "example",
  handle(pkt) {
    return pkt.length > limit ? drop : pass;
  },
});

function report(): void {}
