/** Primitive state of each kind, with nested structs and vectors. */
import {
  array,
  be32,
  bool,
  copy,
  counter,
  drop,
  hashMap,
  i16,
  lpmTrie,
  lruMap,
  mac,
  nf,
  pass,
  perCpu,
  ringEvents,
  struct,
  u16,
  u32,
  u64,
  u8,
  vector,
  zero,
} from "divisi/nf";

const Inner = struct("inner", { on: bool, station: mac, delta: i16 });
const Record = struct("record", {
  hits: u64,
  last: Inner,
  ring: vector(u16, 4),
});
const Event = struct("event", { source: be32, size: u32 });

export default nf({
  name: "primitives",
  config: { mark: mac("02:00:00:00:00:01"), strict: bool(false) },
  state: {
    records: hashMap({ key: u8, value: Record, capacity: 4 }),
    recent: lruMap({ key: Inner, value: u32, capacity: 4 }),
    routes: lpmTrie({ value: u16, capacity: 16 }),
    local: perCpu(array({ value: u64, capacity: 2 })),
    locals: perCpu(hashMap({ key: u8, value: u32, capacity: 300 })),
    total: counter(),
    log: ringEvents({ value: Event, capacity: 4096 }),
    copies: array({ value: Record, capacity: 2 }),
  },
  handle(pkt, ctx) {
    const { records, recent, routes, local, locals, total, log, copies } =
      ctx.state;
    const source = pkt.u8(0);
    const host = pkt.u32(0);
    const eth = pkt.eth;
    if (source === undefined || host === undefined) return pass;
    if (eth === undefined) return pass;
    const tcp = pkt.tcp;
    if (tcp !== undefined) {
      if (tcp.isSyn && !tcp.isAck) tcp.seq = u32(tcp.seq + 1);
      else if (tcp.isFin || tcp.isRst) return drop;
    }
    const before = total.fetchAdd(pkt.length);
    if ((before & 7n) === 0n) log.emit({ source: host, size: pkt.length });
    const mine = local.at(source & 1);
    mine.value = u64(mine.value + 1n);
    const key = source % 6;
    const inner = Inner({
      on: key > 2,
      station: eth.dst >> 40n,
      delta: key - 3,
    });
    const used = recent.get(inner);
    if (used === undefined) recent.set(inner, key);
    else used.value = u32(used.value + 1);
    if (!locals.insert(source, 1)) locals.set(source, 2);
    const record = records.get(key);
    if (record === undefined) {
      const fresh = zero(Record);
      fresh.hits = u64(host);
      fresh.last.delta = -1;
      fresh.ring[2] = source;
      if (!records.set(key, fresh)) {
        records.delete(0);
        return drop;
      }
      return pass;
    }
    record.hits = u64(record.hits + 1n);
    record.last.on = !record.last.on;
    record.last.station = ctx.config.mark;
    const next = record.ring[(source + 1) & 3];
    if (next !== undefined) record.ring[source & 3] = next;
    copy(Record, copies.at(source & 1), record);
    const route = routes.get(host);
    if (route === undefined) return ctx.config.strict ? drop : pass;
    return route.value > 2 ? drop : pass;
  },
});
