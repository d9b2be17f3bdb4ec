/**
 * dynamic-bridge: learns behind which port each MAC address is.
 *
 * Learn first: a known source is refreshed (it moves to the input port only
 * where `learn_moves` says so); an unknown one is stored; full table: skipped.
 * Then the destination: unknown: flood; behind the input port: drop; else
 * out(its port).
 *
 * An address that sent nothing for longer than `expiry` is unknown again, and
 * gives its place to a new one when the table is full.
 *
 * Any frame with an Ethernet header; a shorter one is dropped.
 */
import {
  bool,
  drop,
  flood,
  hashMap,
  mac,
  nf,
  out,
  struct,
  u32,
  u64,
} from "divisi/nf";

const Station = struct("station", { port: u32 });

export default nf({
  name: "dynamic-bridge",
  ports: ["lan", "wan"],
  config: {
    capacity: u32(65_536),
    /** Nanoseconds: 300 s. */
    expiry: u64(300_000_000_000n),
    learn_moves: bool(false),
  },
  state: (config) => ({
    stations: hashMap({
      key: mac,
      value: Station,
      capacity: config.capacity,
      expireAfter: config.expiry,
    }),
  }),
  handle(pkt, ctx) {
    const { stations } = ctx.state;
    const eth = pkt.eth;
    if (eth === undefined) return drop;

    const source = stations.get(eth.src);
    if (source === undefined) {
      stations.insert(eth.src, { port: ctx.port });
    } else {
      if (ctx.config.learn_moves) source.port = ctx.port;
      stations.refresh(source);
    }

    const station = stations.get(eth.dst);
    if (station === undefined) return flood;
    return station.port === ctx.port ? drop : out(station.port);
  },
});
