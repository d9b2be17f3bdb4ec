/**
 * nat: many inside addresses behind one outside address.
 *
 * What is no whole TCP or UDP packet over IPv4, fragments included, is dropped.
 *
 *   lan  flow known: refresh; unknown: allocate an index (table full: drop). The
 *        source becomes external_ip : start_port + index; out(wan).
 *   wan  index = destination port - start_port; not allocated, or allocated to a
 *        flow to another server: drop. The destination becomes the inside
 *        address and port of the flow; out(the port that began it). The
 *        packet's destination address is not compared with external_ip.
 *
 * `refresh` says whether a reply refreshes its flow: never (0), after the server
 * was checked (1), or before it (2). With 2 a stranger's packet changes state that
 * belongs to the real server, so the packets of one server are not all that
 * matters to a flow: sharding must then be refused.
 *
 * Checksums are kept right. A forwarded frame gets the out port's MAC as source and
 * the configured next hop as destination.
 *
 * A flow that sent nothing for longer than `expiry` is forgotten, and gives its
 * index to a new one when the table is full.
 */
import {
  be16,
  drop,
  hashMap,
  ipv4,
  mac,
  min,
  nf,
  out,
  struct,
  u32,
  u64,
} from "divisi/nf";
import { sendOn } from "./shared/ethernet.ts";
import { FlowKey, flowOf } from "./shared/flow.ts";
import { lan, wan } from "./shared/ports.ts";

/** `refresh` of replies; 0 is never. */
const afterCheck = 1;
const beforeCheck = 2;

const Origin = struct("origin", { port: u32 });

export default nf({
  name: "nat",
  ports: ["lan", "wan"],
  config: {
    /** Flows; at most 65536 - start_port, whatever stands here. */
    capacity: u32(65_536),
    /** Nanoseconds: 100 s. */
    expiry: u64(100_000_000_000n),
    external_ip: u32(ipv4("203.0.113.1")),
    start_port: u32(0),
    refresh: u32(0),
    lan_mac: mac("02:00:00:00:00:01"),
    wan_mac: mac("02:00:00:00:00:02"),
    lan_next_hop: mac("02:00:00:00:00:11"),
    wan_next_hop: mac("02:00:00:00:00:12"),
  },
  state: (config) => ({
    flows: hashMap({
      key: FlowKey,
      value: Origin,
      // So many that ports do not wrap.
      capacity: min(config.capacity, 65_536 - config.start_port),
      expireAfter: config.expiry,
    }),
  }),
  handle(pkt, ctx) {
    const { flows } = ctx.state;
    const { config } = ctx;
    const eth = pkt.eth;
    const ip = pkt.ipv4;
    if (eth === undefined || ip === undefined) return drop;
    const l4 = ip.l4;
    if (l4 === undefined) return drop;

    if (ctx.port === lan) {
      const flow = flows.getOrInsert(flowOf(ip, l4), { port: lan });
      if (flow === undefined) return drop;
      flows.refresh(flow);
      ip.src = config.external_ip;
      l4.sport = be16(config.start_port + flows.indexOf(flow));
      sendOn(eth, config.wan_mac, config.wan_next_hop);
      return out(wan);
    }

    if (l4.dport < config.start_port) return drop;
    const index = l4.dport - config.start_port;
    const flow = flows.entryAt(index);
    const inside = flows.keyAt(index);
    if (flow === undefined || inside === undefined) return drop;
    if (config.refresh === beforeCheck) flows.refresh(flow);
    if (inside.destination !== ip.src) return drop;
    if (inside.destination_port !== l4.sport) return drop;
    if (inside.protocol !== ip.protocol) return drop;
    if (config.refresh === afterCheck) flows.refresh(flow);
    ip.dst = inside.source;
    l4.dport = inside.source_port;
    sendOn(eth, config.lan_mac, config.lan_next_hop);
    return out(flow.port);
  },
});
