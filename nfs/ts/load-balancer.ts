/**
 * load-balancer: flows of the WAN go to the backends of the LAN that are alive.
 *
 * What is no whole TCP or UDP packet over IPv4, fragments included, is dropped.
 *
 *   lan  a heartbeat: the source address is a backend, refreshed if it is known,
 *        else registered with its MAC (table full: ignored). Always dropped.
 *   wan  flow known and its backend alive: refresh the flow, use the backend; its
 *        backend not alive: forget the flow, treat it as new. New: the first live
 *        backend of list[hash of the flow mod height]; none: drop; remember it
 *        (table full: not). The destination becomes the backend's address, checksums
 *        are kept right, source MAC lan_mac, destination MAC the backend's; out(the
 *        backend's port).
 *
 * The lists are those of `shared/consistent.ts`. Flows are forgotten after
 * `flow_expiry` without a packet, backends after `backend_expiry` without a heartbeat;
 * one whose index went to another backend by then leaves its flows to that one.
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
  u16,
  u32,
  u64,
} from "divisi/nf";
import type { ArrayMap, ExpiringMap } from "divisi/nf";
import { inverseStep, turnOf } from "./shared/consistent.ts";
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

/** A sign of life from `address`: the index of a backend that is new, or nobody. */
function welcome(backends: Backends, address: number): number {
  const known = backends.get(address);
  if (known !== undefined) {
    backends.refresh(known);
    return nobody;
  }
  if (!backends.insert(address, { port: lan })) return nobody;
  const added = backends.get(address);
  return added === undefined ? nobody : backends.indexOf(added);
}

function isAlive(backends: Backends, backend: number): boolean {
  return backends.keyAt(backend) !== undefined;
}

/** The first live backend of list[row], or nobody. */
function firstAlive(
  backends: Backends,
  slots: Slots,
  row: number,
  height: number,
): number {
  let first = nobody;
  let least = height;
  for (let backend = 0; backend < most; backend++) {
    if (!isAlive(backends, backend)) continue;
    const turn = turnOf(row, backend, slots.at(backend).inverse, height);
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
  }),
  handle(pkt, ctx) {
    const { flows, backends, slots } = ctx.state;
    const { height, lan_mac } = ctx.config;
    const eth = pkt.eth;
    const ip = pkt.ipv4;
    if (eth === undefined || ip === undefined) return drop;
    const l4 = ip.l4;
    if (l4 === undefined) return drop;

    if (ctx.port === lan) {
      const index = welcome(backends, ip.src);
      const slot = slots.get(index);
      if (slot === undefined) return drop;
      slot.address = ip.src;
      slot.mac = eth.src;
      slot.port = lan;
      slot.inverse = inverseStep(index, height);
      return drop;
    }

    const key = flowOf(ip, l4);
    let backend = nobody;
    const flow = flows.get(key);
    if (flow !== undefined) {
      if (isAlive(backends, flow.backend)) {
        backend = flow.backend;
        flows.refresh(flow);
      } else {
        flows.delete(key);
      }
    }
    if (backend === nobody) {
      const row = hash(FlowKey, key, 0) % height;
      backend = firstAlive(backends, slots, row, height);
      if (backend === nobody) return drop;
      flows.insert(key, { backend });
    }

    const slot = slots.get(backend);
    if (slot === undefined) return drop;
    ip.dst = slot.address;
    sendOn(eth, lan_mac, slot.mac);
    return out(slot.port);
  },
});
