/**
 * token-bucket: every flow may send one packet per 1024 ns, and 16 at once.
 *
 *   flow known    n = min(16, tokens + (now - last) / 1024); last = now; n >= 1:
 *                 n - 1 are left, pass; else drop. Then FIN forgets the flow.
 *   flow unknown  pass; SYN, or UDP: store it with 15 tokens (FIN is not looked
 *                 at); else, or where the table is full, nothing
 *
 * What is left of an interval below 1024 ns is lost: whoever sends faster than
 * that earns nothing.
 *
 * What is no whole TCP or UDP packet over IPv4, fragments included, is dropped.
 * With `enforce` off tokens are spent all the same, and every packet that would be
 * passed or dropped by them is sent back to where it came from.
 */
import {
  bool,
  drop,
  hashMap,
  min,
  nf,
  pass,
  struct,
  u32,
  u64,
} from "divisi/nf";
import { bounce } from "./shared/ethernet.ts";
import { FlowKey, flowOf, isLast, mayBegin } from "./shared/flow.ts";

const most = 16;

const Bucket = struct("bucket", { tokens: u32, last: u64 });

export default nf({
  name: "token-bucket",
  config: { enforce: bool(true) },
  state: {
    flows: hashMap({ key: FlowKey, value: Bucket, capacity: 65_536 }),
  },
  handle(pkt, ctx) {
    const { flows } = ctx.state;
    const eth = pkt.eth;
    const ip = pkt.ipv4;
    if (eth === undefined || ip === undefined) return drop;
    const l4 = ip.l4;
    if (l4 === undefined) return drop;

    const { now } = ctx;
    const key = flowOf(ip, l4);
    const flow = flows.get(key);
    let allowed = true;
    if (flow === undefined) {
      if (mayBegin(ip)) flows.insert(key, { tokens: most - 1, last: now });
    } else {
      const earned = u32(u64(now - flow.last) >> 10n);
      const tokens = min(most, u32(flow.tokens + earned));
      allowed = tokens > 0;
      flow.tokens = tokens > 0 ? tokens - 1 : 0;
      flow.last = now;
      if (isLast(ip)) flows.delete(key);
    }

    if (!ctx.config.enforce) return bounce(eth);
    return allowed ? pass : drop;
  },
});
