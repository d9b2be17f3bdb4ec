/**
 * limiter: at most `limit` packets of each IPv4 source in each `window`.
 *
 * What is no IPv4 packet passes. A window that is over is forgotten when its
 * source sends again; while the table is full, new sources pass uncounted.
 */
import { be32, drop, hashMap, nf, pass, struct, u32, u64 } from "divisi/nf";

/** What is remembered of a source. */
const Source = struct("source", {
  /** Nanoseconds: when its window began. */
  started: u64,
  /** Let through since then. */
  packets: u32,
});

export default nf({
  name: "limiter",
  // Constants of the compiled program; `--set limit=200` overrides one.
  config: {
    limit: u32(100),
    /** Nanoseconds: 1 s. */
    window: u64(1_000_000_000n),
    /** Sources that are remembered at one time. */
    capacity: u32(65_536),
  },
  // What outlives a packet. The name `sources` is also the name of the BPF map.
  state: (config) => ({
    sources: hashMap({ key: be32, value: Source, capacity: config.capacity }),
  }),
  // One packet, from start to end, as if there were no other core.
  handle(pkt, ctx) {
    const { sources } = ctx.state;
    const { limit, window } = ctx.config;

    // A header that may be absent is undefined: test it before using it.
    const ip = pkt.ipv4;
    if (ip === undefined) return pass;

    const source = sources.get(ip.src);
    if (source === undefined) {
      sources.insert(ip.src, { started: ctx.now, packets: 1 });
      return pass;
    }

    // `source` refers into the map: assigning its fields changes the map.
    if (u64(ctx.now - source.started) >= window) {
      source.started = ctx.now;
      source.packets = 1;
      return pass;
    }
    if (source.packets >= limit) return drop;
    // Arithmetic is exact; u32(…) says that the sum fits where it is stored.
    source.packets = u32(source.packets + 1);
    return pass;
  },
});
