import { drop, nf, pass } from "divisi/nf";

export default nf({
  name: "example",
  handle(pkt) {
    const ip = pkt.ipv4;
    if (ip === undefined) return drop;
    const l4 = ip.l4;
    if (l4 === undefined) return drop;
    const flow = {
      port: l4.dport,
      isWeb() {
        return true;
      },
    };
    return flow.port === 80 ? pass : drop;
  },
});
