/**
 * heavy-hitter: counts the bytes of each flow, and drops those of heavy ones.
 *
 *   flow known    add the frame's length; then FIN forgets the flow
 *   flow unknown  SYN, or UDP: store the frame's length (FIN is not looked at);
 *                 else, or where the table is full, nothing
 *
 * Pass if the total, this packet included, is below `limit` (of an unknown flow:
 * the packet's own length), else drop.
 *
 * What is no whole TCP or UDP packet over IPv4, fragments included, is dropped.
 * With `enforce` off the same is counted, and every packet that would be passed or
 * dropped by its count is sent back to where it came from.
 */
import { bool, drop, hashMap, nf, pass, u64 } from "divisi/nf";
import { bounce } from "./shared/ethernet.ts";
import { FlowKey, flowOf, isLast, mayBegin } from "./shared/flow.ts";

export default nf({
  name: "heavy-hitter",
  config: {
    enforce: bool(true),
    /** Bytes. */
    limit: u64(1024n),
  },
  state: {
    flows: hashMap({ key: FlowKey, value: u64, capacity: 65_536 }),
  },
  handle(pkt, ctx) {
    const { flows } = ctx.state;
    const { enforce, limit } = ctx.config;
    const eth = pkt.eth;
    const ip = pkt.ipv4;
    if (eth === undefined || ip === undefined) return drop;
    const l4 = ip.l4;
    if (l4 === undefined) return drop;

    const key = flowOf(ip, l4);
    const flow = flows.get(key);
    let total = u64(pkt.length);
    if (flow === undefined) {
      if (mayBegin(ip)) flows.insert(key, total);
    } else {
      total = u64(flow.value + total);
      flow.value = total;
      if (isLast(ip)) flows.delete(key);
    }

    if (!enforce) return bounce(eth);
    return total < limit ? pass : drop;
  },
});
