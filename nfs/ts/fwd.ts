/**
 * fwd: every frame of one port leaves by the other, with the out port's MAC as
 * source and the configured next hop as destination. No state.
 *
 * A frame without a whole Ethernet header is dropped.
 */
import { drop, mac, nf, out } from "divisi/nf";
import { sendOn } from "./shared/ethernet.ts";
import { lan, wan } from "./shared/ports.ts";

export default nf({
  name: "fwd",
  ports: ["lan", "wan"],
  config: {
    lan_mac: mac("02:00:00:00:00:01"),
    wan_mac: mac("02:00:00:00:00:02"),
    lan_next_hop: mac("02:00:00:00:00:11"),
    wan_next_hop: mac("02:00:00:00:00:12"),
  },
  handle(pkt, ctx) {
    const { config } = ctx;
    const eth = pkt.eth;
    if (eth === undefined) return drop;
    if (ctx.port === lan) {
      sendOn(eth, config.wan_mac, config.wan_next_hop);
      return out(wan);
    }
    sendOn(eth, config.lan_mac, config.lan_next_hop);
    return out(lan);
  },
});
