/**
 * ctrnat: nat whose outside ports come from one counter and are never given back.
 * A negative test: every new flow takes the old value of `allocated`, so no two
 * cores can hand out numbers without each other.
 *
 * What is no whole TCP or UDP packet over IPv4, fragments included, is dropped.
 *
 *   lan  flow known: its number; unknown: the next number (65536 - start_port of
 *        them, then drop; table full: drop). The source becomes external_ip : start_port + number;
 *        out(wan).
 *   wan  number = destination port - start_port; not given out, or given to a flow
 *        to another server: drop. The destination becomes the inside address and
 *        port of the flow; out(lan).
 *
 * Checksums are kept right. A forwarded frame gets the out port's MAC as source and
 * the configured next hop as destination.
 */
import {
  array,
  be16,
  copy,
  counter,
  drop,
  hashMap,
  ipv4,
  mac,
  nf,
  out,
  u32,
  u64,
} from "divisi/nf";
import { sendOn } from "./shared/ethernet.ts";
import { FlowKey, flowOf } from "./shared/flow.ts";
import { lan, wan } from "./shared/ports.ts";

const allPorts = 65_536;

export default nf({
  name: "ctrnat",
  ports: ["lan", "wan"],
  config: {
    external_ip: u32(ipv4("203.0.113.1")),
    start_port: u32(0),
    lan_mac: mac("02:00:00:00:00:01"),
    wan_mac: mac("02:00:00:00:00:02"),
    lan_next_hop: mac("02:00:00:00:00:11"),
    wan_next_hop: mac("02:00:00:00:00:12"),
  },
  state: {
    flows: hashMap({ key: FlowKey, value: u32, capacity: 65_536 }),
    allocated: counter(),
    tuples: array({ value: FlowKey, capacity: 65_536 }),
  },
  handle(pkt, ctx) {
    const { flows, allocated, tuples } = ctx.state;
    const { config } = ctx;
    const eth = pkt.eth;
    const ip = pkt.ipv4;
    if (eth === undefined || ip === undefined) return drop;
    const l4 = ip.l4;
    if (l4 === undefined) return drop;

    if (ctx.port === lan) {
      const key = flowOf(ip, l4);
      const flow = flows.get(key);
      let number = 0;
      if (flow !== undefined) {
        number = flow.value;
      } else {
        const next = allocated.fetchAdd(1);
        if (next >= u64(allPorts - config.start_port)) return drop;
        number = u32(next);
        if (!flows.insert(key, number)) return drop;
        copy(FlowKey, tuples.at(number), key);
      }
      ip.src = config.external_ip;
      l4.sport = be16(config.start_port + number);
      sendOn(eth, config.wan_mac, config.wan_next_hop);
      return out(wan);
    }

    if (l4.dport < config.start_port) return drop;
    // Of a number not given out all is zero, the protocol too: no packet's.
    const inside = tuples.at(l4.dport - config.start_port);
    if (inside.destination !== ip.src) return drop;
    if (inside.destination_port !== l4.sport) return drop;
    if (inside.protocol !== ip.protocol) return drop;
    ip.dst = inside.source;
    l4.dport = inside.source_port;
    sendOn(eth, config.lan_mac, config.lan_next_hop);
    return out(lan);
  },
});
