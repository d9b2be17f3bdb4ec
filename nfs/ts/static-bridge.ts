/**
 * static-bridge: (destination MAC, input port) -> output port, a table that
 * user space loads before the start (at most half full) and nobody writes.
 *
 *   miss       flood (all ports but the input)
 *   value -2   drop
 *   value p    out(p)
 *
 * Any frame with an Ethernet header; a shorter one is dropped.
 */
import {
  drop,
  flood,
  hashMap,
  i32,
  mac,
  nf,
  out,
  struct,
  u16,
} from "divisi/nf";

const filtered = -2;

const BridgeKey = struct("bridge_key", { mac, port: u16 });

export default nf({
  name: "static-bridge",
  ports: ["lan", "wan"],
  state: {
    stations: hashMap({ key: BridgeKey, value: i32, capacity: 8192 }),
  },
  handle(pkt, ctx) {
    const eth = pkt.eth;
    if (eth === undefined) return drop;
    const station = ctx.state.stations.get({ mac: eth.dst, port: ctx.port });
    if (station === undefined) return flood;
    if (station.value === filtered) return drop;
    return out(station.value);
  },
});
