/**
 * flow-counter: packets and bytes per direction of a TCP or UDP flow (addresses,
 * ports, protocol). Every frame passes; what is no whole TCP or UDP packet,
 * fragments included, passes uncounted, as does a flow that finds the table full.
 */
import { hashMap, nf, pass, u64 } from "divisi/nf";
import { Counters, count } from "./shared/counters.ts";
import { FlowKey, flowOf } from "./shared/flow.ts";

export default nf({
  name: "flow-counter",
  state: {
    flows: hashMap({ key: FlowKey, value: Counters, capacity: 65_536 }),
  },
  handle(pkt, ctx) {
    const { flows } = ctx.state;
    const ip = pkt.ipv4;
    if (ip === undefined) return pass;
    const l4 = ip.l4;
    if (l4 === undefined) return pass;
    const key = flowOf(ip, l4);
    const flow = flows.get(key);
    if (flow === undefined) {
      flows.insert(key, { packets: 1n, bytes: u64(pkt.length) });
    } else {
      count(flow, pkt.length);
    }
    return pass;
  },
});
