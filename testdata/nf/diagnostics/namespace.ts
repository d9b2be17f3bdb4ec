import { drop, nf, pass } from "divisi/nf";
namespace limits {
  export const most = 100;
}

export default nf({
  name: "example",
  handle(pkt) {
    return pkt.length > limits.most ? pass : drop;
  },
});
