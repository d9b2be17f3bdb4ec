/**
 * firewall: the WAN may answer what the LAN has begun, and nothing else.
 *
 * What is no whole TCP or UDP packet over IPv4, fragments included, is dropped.
 *
 *   lan  flow (addresses, ports, protocol) known: refresh; unknown: insert;
 *        table full: go on untracked. Always out(wan).
 *   wan  the flow with source and destination swapped: unknown: drop; known:
 *        refresh, out(the port that began it).
 *
 * A forwarded frame gets the out port's MAC as source and the configured next
 * hop as destination.
 *
 * Expiry: a flow with last + expiry < now counts as unknown. It is found by the
 * lookup that would have used it (lan overwrites it in place, wan deletes it);
 * an expired flow that nobody asks for keeps its place in the table.
 */
import { drop, hashMap, mac, nf, out, struct, u32, u64 } from "divisi/nf";
import { sendOn } from "./shared/ethernet.ts";
import { FlowKey, flowOf, swappedFlowOf } from "./shared/flow.ts";
import { lan, wan } from "./shared/ports.ts";

const Flow = struct("flow", { last: u64, port: u32 });

export default nf({
  name: "firewall",
  ports: ["lan", "wan"],
  config: {
    /** Nanoseconds: 100 s. */
    expiry: u64(100_000_000_000n),
    lan_mac: mac("02:00:00:00:00:01"),
    wan_mac: mac("02:00:00:00:00:02"),
    lan_next_hop: mac("02:00:00:00:00:11"),
    wan_next_hop: mac("02:00:00:00:00:12"),
  },
  state: {
    flows: hashMap({ key: FlowKey, value: Flow, capacity: 65_536 }),
  },
  handle(pkt, ctx) {
    const { flows } = ctx.state;
    const { config } = ctx;
    const eth = pkt.eth;
    const ip = pkt.ipv4;
    if (eth === undefined || ip === undefined) return drop;
    const l4 = ip.l4;
    if (l4 === undefined) return drop;

    const { now } = ctx;
    if (ctx.port === lan) {
      const key = flowOf(ip, l4);
      const flow = flows.get(key);
      if (flow === undefined) {
        flows.insert(key, { last: now, port: lan });
      } else {
        flow.last = now;
      }
      sendOn(eth, config.wan_mac, config.wan_next_hop);
      return out(wan);
    }

    const key = swappedFlowOf(ip, l4);
    const flow = flows.get(key);
    if (flow === undefined) return drop;
    if (u64(flow.last + config.expiry) < now) {
      flows.delete(key);
      return drop;
    }
    flow.last = now;
    sendOn(eth, config.lan_mac, config.lan_next_hop);
    return out(flow.port);
  },
});
