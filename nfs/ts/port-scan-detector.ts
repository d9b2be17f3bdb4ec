/**
 * port-scan-detector: bounds the destination ports that one source may try.
 *
 * What is no whole TCP or UDP packet over IPv4, fragments included, is dropped.
 * lan -> wan passes. From wan:
 *
 *   source unknown  remember it with this port; table full: let it through
 *   source known    refresh. Port tried before: through; new and fewer than
 *                   `max_ports` were tried: remember it, through; else drop
 *
 * A source that sent nothing for longer than `expiry` is forgotten with its ports,
 * and gives its place to a new one when the table is full. `touched` keeps the
 * ports by the index of the source; those behind `count` mean nothing.
 */
import {
  array,
  be16,
  be32,
  drop,
  hashMap,
  max,
  nf,
  out,
  struct,
  u32,
  u64,
  vector,
} from "divisi/nf";
import { lan, wan } from "./shared/ports.ts";

/** Most ports that are remembered of one source. */
const most = 64;

const Source = struct("source", { count: u32 });
const Touched = struct("touched", { ports: vector(be16, most) });

export default nf({
  name: "port-scan-detector",
  ports: ["lan", "wan"],
  config: {
    /** At most 64; 0 is as 1. */
    max_ports: u32(60),
    capacity: u32(65_536),
    /** Nanoseconds: 1 s. */
    expiry: u64(1_000_000_000n),
  },
  state: (config) => ({
    sources: hashMap({
      key: be32,
      value: Source,
      capacity: config.capacity,
      expireAfter: config.expiry,
    }),
    touched: array({ value: Touched, capacity: config.capacity }),
  }),
  handle(pkt, ctx) {
    const { sources, touched } = ctx.state;
    const { max_ports } = ctx.config;
    const ip = pkt.ipv4;
    if (ip === undefined) return drop;
    const l4 = ip.l4;
    if (l4 === undefined) return drop;
    if (ctx.port === lan) return out(wan);

    const source = sources.getOrInsert(ip.src, { count: 0 });
    if (source === undefined) return out(lan);
    sources.refresh(source);

    const set = touched.at(sources.indexOf(source));
    const { count } = source;
    for (let at = 0; at < most; at++) {
      if (at >= count) break;
      if (set.ports[at] === l4.dport) return out(lan);
    }
    if (count >= max(max_ports, 1) || count >= most) return drop;
    set.ports[count] = l4.dport;
    source.count = count + 1;
    return out(lan);
  },
});
