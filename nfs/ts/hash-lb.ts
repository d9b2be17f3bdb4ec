/**
 * hash-lb: spreads flows from the WAN over 64 places for servers, by a hash; a flow
 * stays with its server. User space loads `backends` before the start (address 0:
 * no server) and nobody writes it.
 *
 *   lan  out(wan), unchanged: servers answer in their own name
 *   wan  flow known: refresh, its place; unknown: place hash mod 64, remembered
 *        (table full: not). No server there: drop, and nothing is remembered. TCP
 *        with FIN or RST forgets its flow, or does not begin one. The destination
 *        becomes the server's address, checksums are kept right, source MAC lan_mac,
 *        destination MAC the server's; out(lan).
 *
 * What is no whole TCP or UDP packet over IPv4, fragments included, is dropped. A
 * flow that sent nothing for longer than `expiry` is forgotten, and gives its place
 * in the table to a new one when that is full.
 */
import {
  array,
  be32,
  drop,
  hash,
  hashMap,
  mac,
  nf,
  out,
  struct,
  u32,
  u64,
} from "divisi/nf";
import { sendOn } from "./shared/ethernet.ts";
import { FlowKey, flowOf } from "./shared/flow.ts";
import { lan, wan } from "./shared/ports.ts";

const places = 64;

const Flow = struct("flow", { backend: u32 });
const Backend = struct("backend", { address: be32, mac });

export default nf({
  name: "hash-lb",
  ports: ["lan", "wan"],
  config: {
    capacity: u32(65_536),
    /** Nanoseconds: 100 s. */
    expiry: u64(100_000_000_000n),
    lan_mac: mac("02:00:00:00:00:01"),
  },
  state: (config) => ({
    flows: hashMap({
      key: FlowKey,
      value: Flow,
      capacity: config.capacity,
      expireAfter: config.expiry,
    }),
    backends: array({ value: Backend, capacity: places }),
  }),
  handle(pkt, ctx) {
    const { flows, backends } = ctx.state;
    const eth = pkt.eth;
    const ip = pkt.ipv4;
    if (eth === undefined || ip === undefined) return drop;
    const l4 = ip.l4;
    if (l4 === undefined) return drop;
    if (ctx.port === lan) return out(wan);

    const key = flowOf(ip, l4);
    const flow = flows.get(key);
    const place =
      flow === undefined ? hash(FlowKey, key, 0) % places : flow.backend;
    const backend = backends.get(place);
    if (backend === undefined || backend.address === 0) return drop;

    const tcp = ip.tcp;
    const isEnd = tcp !== undefined && (tcp.isFin || tcp.isRst);
    if (flow === undefined) {
      if (!isEnd) flows.insert(key, { backend: place });
    } else if (isEnd) {
      flows.delete(key);
    } else {
      flows.refresh(flow);
    }
    ip.dst = backend.address;
    sendOn(eth, ctx.config.lan_mac, backend.mac);
    return out(lan);
  },
});
