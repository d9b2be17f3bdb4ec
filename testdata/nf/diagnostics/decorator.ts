import { drop, nf, pass } from "divisi/nf";
@counted
class Flow {
  packets = 0;
}

export default nf({
  name: "example",
  handle(pkt) {
    return pkt.length > 60 ? pass : drop;
  },
});

function counted(): void {}
