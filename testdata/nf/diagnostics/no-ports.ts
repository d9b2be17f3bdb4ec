import { flood, nf, out, pass } from "divisi/nf";

export default nf({
  name: "example",
  handle(pkt, ctx) {
    if (pkt.length < 60) return flood;
    return ctx.port === 0 ? out(1) : pass;
  },
});
