import { counter, drop, nf, pass } from "divisi/nf";

export default nf({
  name: "example",
  state: { packets: counter() },
  handle(pkt, ctx) {
    const { packets } = ctx.state;
    packets.increment();
    return packets.count > 100n ? drop : pass;
  },
});
