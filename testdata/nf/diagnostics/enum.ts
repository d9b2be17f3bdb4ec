import { drop, nf, pass } from "divisi/nf";
enum State {
  Closed,
  Open,
}

export default nf({
  name: "example",
  handle(pkt) {
    return pkt.length > State.Open ? pass : drop;
  },
});
