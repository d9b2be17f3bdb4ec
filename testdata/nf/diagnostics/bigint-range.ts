import { drop, nf, pass } from "divisi/nf";

export default nf({
  name: "example",
  handle(pkt, ctx) {
    const earned = (ctx.now * 1_000_000n) / 1000n;
    const rest = ctx.now - 5n;
    return earned > rest ? pass : drop;
  },
});
