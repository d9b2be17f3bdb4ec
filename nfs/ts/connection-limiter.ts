/**
 * connection-limiter: bounds the TCP and UDP flows that one source has with one
 * destination, counted in a sketch of four rows of aged counters.
 *
 * What is no whole TCP or UDP packet over IPv4, fragments included, is dropped.
 * lan -> wan passes. From wan:
 *
 *   flow known    refresh it and the pair's live counters; through
 *   flow unknown  remember it; table full: through, uncounted. If the pair has a
 *                 live counter and the least of them is above `max_clients`: drop,
 *                 but the flow stays, so its later packets get through; `strict`
 *                 forgets it. Else a live counter gains 1 and is refreshed, another
 *                 one begins at 0; through.
 *
 * So max_clients + 2 flows of one pair get in. Pairs that share their cells in all
 * four rows are counted together.
 *
 * A flow is forgotten after `flow_expiry` without a packet, and gives its place to
 * a new one when the table is full; a counter ends after `bucket_expiry`.
 */
import {
  be32,
  bool,
  countMinSketch,
  drop,
  hashMap,
  min,
  nf,
  out,
  struct,
  u32,
  u64,
} from "divisi/nf";
import type { CellSketch, ValueOf } from "divisi/nf";
import { FlowKey, flowOf } from "./shared/flow.ts";
import { lan, wan } from "./shared/ports.ts";

const rows = 4;

const Flow = struct("flow", { port: u32 });
const Pair = struct("pair", { source: be32, destination: be32 });
const Clients = struct("clients", { last: u64, count: u32, used: u32 });

type Pair = ValueOf<typeof Pair>;
type Clients = ValueOf<typeof Clients>;
type ClientSketch = CellSketch<typeof Pair, typeof Clients>;

function isLive(clients: Clients, now: bigint, expiry: bigint): boolean {
  return clients.used !== 0 && u64(clients.last + expiry) >= now;
}

/** Keeps the pair's live counters alive. */
function refresh(
  sketch: ClientSketch,
  pair: Pair,
  now: bigint,
  expiry: bigint,
): void {
  for (let row = 0; row < rows; row++) {
    const clients = sketch.at(row, pair);
    if (isLive(clients, now, expiry)) clients.last = now;
  }
}

/** The least of the pair's live counters; 0 where none is live. */
function leastCount(
  sketch: ClientSketch,
  pair: Pair,
  now: bigint,
  expiry: bigint,
): number {
  let isCounted = false;
  let least = 0;
  for (let row = 0; row < rows; row++) {
    const clients = sketch.at(row, pair);
    if (isLive(clients, now, expiry)) {
      least = isCounted ? min(least, clients.count) : clients.count;
      isCounted = true;
    }
  }
  return least;
}

/** Counts one more flow of the pair. */
function count(
  sketch: ClientSketch,
  pair: Pair,
  now: bigint,
  expiry: bigint,
): void {
  for (let row = 0; row < rows; row++) {
    const clients = sketch.at(row, pair);
    clients.count = isLive(clients, now, expiry) ? u32(clients.count + 1) : 0;
    clients.used = 1;
    clients.last = now;
  }
}

export default nf({
  name: "connection-limiter",
  ports: ["lan", "wan"],
  config: {
    max_clients: u32(60),
    strict: bool(false),
    flow_capacity: u32(65_536),
    /** Counters in each row. */
    bucket_capacity: u32(65_536),
    /** Nanoseconds: 1 s. */
    flow_expiry: u64(1_000_000_000n),
    /** Nanoseconds: 10 s. */
    bucket_expiry: u64(10_000_000_000n),
  },
  state: (config) => ({
    flows: hashMap({
      key: FlowKey,
      value: Flow,
      capacity: config.flow_capacity,
      expireAfter: config.flow_expiry,
    }),
    clients: countMinSketch({
      key: Pair,
      cell: Clients,
      rows,
      columns: config.bucket_capacity,
    }),
  }),
  handle(pkt, ctx) {
    const { flows, clients } = ctx.state;
    const { max_clients, strict, bucket_expiry } = ctx.config;
    const ip = pkt.ipv4;
    if (ip === undefined) return drop;
    const l4 = ip.l4;
    if (l4 === undefined) return drop;
    if (ctx.port === lan) return out(wan);

    const { now } = ctx;
    const pair = Pair({ source: ip.src, destination: ip.dst });
    const key = flowOf(ip, l4);
    const flow = flows.get(key);
    if (flow !== undefined) {
      flows.refresh(flow);
      refresh(clients, pair, now, bucket_expiry);
      return out(lan);
    }

    if (!flows.insert(key, { port: wan })) return out(lan);
    if (leastCount(clients, pair, now, bucket_expiry) > max_clients) {
      if (strict) flows.delete(key);
      return drop;
    }
    count(clients, pair, now, bucket_expiry);
    return out(lan);
  },
});
