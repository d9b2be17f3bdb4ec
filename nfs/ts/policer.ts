/**
 * policer: a token bucket per destination address for what comes from the WAN.
 *
 * What is not IPv4 is dropped, on both ports. lan -> wan passes. From wan, the
 * whole frame costs `size` tokens; all times are nanoseconds:
 *
 *   known    the bucket gains elapsed * rate / 1e9, up to burst; out(lan) iff
 *            tokens > size (strict), which then costs size tokens
 *   unknown  size > burst: drop; table full: drop; else tokens = burst - size,
 *            out(lan)
 *
 * A bucket with last + burst * 1e9 / rate < now would be full and counts as
 * unknown. It is found by the lookup that would have used it and then overwritten;
 * one that nobody asks for keeps its place in the table.
 */
import {
  Bucket,
  be32,
  drop,
  hashMap,
  nf,
  out,
  tokenBucket,
  u64,
} from "divisi/nf";
import { lan, wan } from "./shared/ports.ts";

export default nf({
  name: "policer",
  ports: ["lan", "wan"],
  config: {
    /** Bytes per second. */
    rate: u64(1_000_000n),
    /** Bytes; burst * 1e9 must fit 64 bits. */
    burst: u64(100_000n),
  },
  state: (config) => ({
    buckets: hashMap({ key: be32, value: Bucket, capacity: 65_536 }),
    limit: tokenBucket({ rate: config.rate, burst: config.burst }),
  }),
  handle(pkt, ctx) {
    const { buckets, limit } = ctx.state;
    const ip = pkt.ipv4;
    if (ip === undefined) return drop;
    if (ctx.port === lan) return out(wan);

    const { now } = ctx;
    const bucket = buckets.get(ip.dst);
    if (bucket !== undefined && u64(bucket.last + limit.fill) >= now)
      return limit.take(bucket, pkt.length, now) ? out(lan) : drop;
    if (u64(pkt.length) > limit.burst) return drop;
    const first = limit.fresh(pkt.length, now);
    return buckets.set(ip.dst, first) ? out(lan) : drop;
  },
});
