/**
 * hhh: hierarchical heavy hitters. Reports the source prefixes that send more than
 * their share of the link, and drops nothing of theirs.
 *
 * What is not IPv4 is dropped; all else leaves by the other port. From wan, for
 * each selected prefix length, shortest first (bit i of `levels`: length i + 1), a
 * token bucket of the source's prefix pays for the whole frame. It fills with
 * link_rate / 8 * threshold % bytes per second, up to `burst`.
 *
 *   known    refresh; not more tokens than the frame has bytes: report the prefix
 *   unknown  frame above `burst`: report the prefix; else store it with
 *            burst - size tokens; table full: no longer prefixes
 *
 * A bucket that is idle for longer than it takes to fill is forgotten, and gives
 * its place to a new one when the table, which all lengths share, is full.
 */
import {
  Bucket,
  be32,
  drop,
  hashMap,
  nf,
  out,
  ringEvents,
  struct,
  tokenBucket,
  u32,
  u64,
} from "divisi/nf";
import { lan, wan } from "./shared/ports.ts";

const second = 1_000_000_000n;

const Prefix = struct("prefix", { address: be32, length: u32 });

/** Bytes per second that are `percent` of a link of `bits` per second. */
function share(bits: bigint, percent: bigint): bigint {
  return ((bits / 8n) * percent) / 100n;
}

export default nf({
  name: "hhh",
  ports: ["lan", "wan"],
  config: {
    /** Bits per second. */
    link_rate: u64(10_000_000n),
    /** Percent of the link. */
    threshold: u64(50n),
    /** /8, /16 and /24. */
    levels: u32(0x0080_8080),
    /** Bytes. */
    burst: u64(100_000n),
    /** Prefixes of all lengths together. */
    capacity: u32(65_536),
  },
  state: (config) => ({
    sources: hashMap({
      key: Prefix,
      value: Bucket,
      capacity: config.capacity,
      expireAfter:
        (config.burst * second) / share(config.link_rate, config.threshold),
    }),
    reports: ringEvents({ value: Prefix, capacity: 65_536 }),
    limit: tokenBucket({
      rate: share(config.link_rate, config.threshold),
      burst: config.burst,
    }),
  }),
  handle(pkt, ctx) {
    const { sources, reports, limit } = ctx.state;
    const { levels } = ctx.config;
    const ip = pkt.ipv4;
    if (ip === undefined) return drop;
    if (ctx.port === lan) return out(wan);

    for (let bit = 0; bit < 32; bit++) {
      if (((levels >>> bit) & 1) === 0) continue;
      const prefix = Prefix({
        address: (ip.src & (-1 << (31 - bit))) >>> 0,
        length: bit + 1,
      });
      const bucket = sources.get(prefix);
      if (bucket !== undefined) {
        sources.refresh(bucket);
        if (!limit.take(bucket, pkt.length, ctx.now)) reports.emit(prefix);
      } else if (u64(pkt.length) > limit.burst) {
        reports.emit(prefix);
      } else if (!sources.insert(prefix, limit.fresh(pkt.length, ctx.now))) {
        break;
      }
    }
    return out(lan);
  },
});
