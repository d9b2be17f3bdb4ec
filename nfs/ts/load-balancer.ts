/**
 * load-balancer: flows of the WAN go to the backends of the LAN that are alive.
 *
 * What is no whole TCP or UDP packet over IPv4, fragments included, is dropped.
 *
 *   lan  a heartbeat: the source address is a backend, refreshed if it is known,
 *        else registered with its MAC (table full: ignored). Always dropped.
 *   wan  flow known and its backend alive: refresh the flow, use the backend; its
 *        backend not alive: forget the flow, treat it as new. New: the live backend
 *        that is the first in the flow's order; none: drop; remember it
 *        (table full: not). The destination becomes the backend's address, checksums
 *        are kept right, source MAC lan_mac, destination MAC the backend's; out(the
 *        backend's port).
 *
 * The order is Maglev's: the hash of the flow chooses one of `height` slots, each of
 * which prefers the backends in another order; when a backend dies, only its own flows
 * move. Flows are forgotten after `flow_expiry` without a packet, backends after
 * `backend_expiry` without a heartbeat; one whose index went to another backend by then
 * leaves its flows to that one.
 */
import {
  array,
  be32,
  drop,
  hash,
  hashMap,
  mac,
  maglev,
  nf,
  out,
  struct,
  u16,
  u32,
  u64,
} from "divisi/nf";
import type { ArrayMap, ExpiringMap, Maglev } from "divisi/nf";
import { sendOn } from "./shared/ethernet.ts";
import { FlowKey, flowOf } from "./shared/flow.ts";
import { lan } from "./shared/ports.ts";

/** Most backends; no backend has this number. */
const most = 32;
const nobody = most;

const Flow = struct("flow", { backend: u32 });
const Backend = struct("backend", { port: u32 });
/** What is known of a backend, by its index; `inverse` is that of its step. */
const Slot = struct("slot", { address: be32, mac, port: u16, inverse: u32 });

type Backends = ExpiringMap<typeof be32, typeof Backend>;
type Slots = ArrayMap<typeof Slot>;

/** The live backend whose turn comes first, or nobody. */
function firstAlive(
  backends: Backends,
  slots: Slots,
  choice: Maglev,
  flow: number,
): number {
  let first = nobody;
  let least = choice.height;
  for (let backend = 0; backend < most; backend++) {
    if (!backends.isAlive(backend)) continue;
    const turn = choice.turn(flow, backend, slots.at(backend).inverse);
    if (turn < least) {
      least = turn;
      first = backend;
    }
  }
  return first;
}

export default nf({
  name: "load-balancer",
  ports: ["lan", "wan"],
  config: {
    flow_capacity: u32(65_536),
    /** At most 32. */
    backend_capacity: u32(most),
    /** Nanoseconds: 100 s. */
    flow_expiry: u64(100_000_000_000n),
    backend_expiry: u64(100_000_000_000n),
    /** A prime number below 65,536. */
    height: u32(97),
    lan_mac: mac("02:00:00:00:00:01"),
  },
  state: (config) => ({
    flows: hashMap({
      key: FlowKey,
      value: Flow,
      capacity: config.flow_capacity,
      expireAfter: config.flow_expiry,
    }),
    backends: hashMap({
      key: be32,
      value: Backend,
      capacity: config.backend_capacity,
      expireAfter: config.backend_expiry,
    }),
    slots: array({ value: Slot, capacity: most }),
    choice: maglev({ height: config.height }),
  }),
  handle(pkt, ctx) {
    const { flows, backends, slots, choice } = ctx.state;
    const eth = pkt.eth;
    const ip = pkt.ipv4;
    if (eth === undefined || ip === undefined) return drop;
    const l4 = ip.l4;
    if (l4 === undefined) return drop;

    if (ctx.port === lan) {
      const known = backends.get(ip.src);
      if (known !== undefined) {
        backends.refresh(known);
        return drop;
      }
      const added = backends.getOrInsert(ip.src, { port: lan });
      if (added === undefined) return drop;
      const index = backends.indexOf(added);
      const slot = slots.at(index);
      slot.address = ip.src;
      slot.mac = eth.src;
      slot.port = lan;
      slot.inverse = choice.inverse(index);
      return drop;
    }

    const key = flowOf(ip, l4);
    let backend = nobody;
    const flow = flows.get(key);
    if (flow !== undefined) {
      if (backends.isAlive(flow.backend)) {
        backend = flow.backend;
        flows.refresh(flow);
      } else {
        flows.delete(key);
      }
    }
    if (backend === nobody) {
      const number = hash(FlowKey, key, 0);
      backend = firstAlive(backends, slots, choice, number);
      if (backend === nobody) return drop;
      flows.insert(key, { backend });
    }

    const slot = slots.get(backend);
    if (slot === undefined) return drop;
    ip.dst = slot.address;
    sendOn(eth, ctx.config.lan_mac, slot.mac);
    return out(slot.port);
  },
});
