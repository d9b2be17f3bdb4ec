/** Bytes of the frame say what is done with expiring maps: operation, key. */
import {
  array,
  be16,
  hashMap,
  nf,
  pass,
  struct,
  u16,
  u32,
  u64,
  u8,
} from "divisi/nf";
import type { ExpiringMap } from "divisi/nf";

const Key = struct("zone_key", { zone: be16, host: u8 });
const Value = struct("visits", { count: u64, last_port: u16 });
type Table = ExpiringMap<typeof Key, typeof Value>;
type Numbers = ExpiringMap<typeof be16, typeof u32>;

function operate(table: Table, operation: number, host: number): number {
  const key = Key({ zone: 7, host });
  const held = table.get(key);
  switch (operation) {
    case 0:
      return table.insert(key, { count: u64(host), last_port: 443 }) ? 1 : 0;
    case 1:
      return table.delete(key) ? 1 : 0;
    case 2:
      return table.has(key) ? 1 : 0;
    case 3: {
      const found = table.keyAt(host);
      return found === undefined ? 500 : found.host;
    }
    case 4: {
      const made = table.getOrInsert(key, { count: 9n, last_port: 1 });
      if (made === undefined) return 700;
      return table.indexOf(made);
    }
    case 5: {
      const found = table.entryAt(host);
      if (found === undefined) return table.isAlive(host) ? 1 : 0;
      found.count = u64(found.count + 5n);
      return found.last_port;
    }
    default: {
      if (held === undefined) return 600;
      table.refresh(held);
      held.count = u64(held.count + 1n);
      return table.indexOf(held);
    }
  }
}

function operateNumbers(
  table: Numbers,
  operation: number,
  host: number,
): number {
  const held = table.get(host);
  switch (operation) {
    case 0:
      return table.insert(host, host * 3) ? 1 : 0;
    case 1:
      return table.delete(host) ? 1 : 0;
    case 3: {
      const found = table.keyAt(host);
      return found === undefined ? 500 : found;
    }
    default: {
      if (held === undefined) return 600;
      table.refresh(held);
      held.value = u32(held.value + 1);
      return held.value;
    }
  }
}

export default nf({
  name: "expiring",
  config: { capacity: u32(3), expiry: u64(10n) },
  state: (config) => ({
    table: hashMap({
      key: Key,
      value: Value,
      capacity: config.capacity,
      expireAfter: config.expiry,
    }),
    numbers: hashMap({
      key: be16,
      value: u32,
      capacity: config.capacity,
      expireAfter: config.expiry,
      onFull: "evict-oldest",
    }),
    visits: array({ value: u32, capacity: config.capacity }),
    answers: array({ value: u32, capacity: 1 }),
  }),
  handle(pkt, ctx) {
    const { table, numbers, visits, answers } = ctx.state;
    const operation = pkt.u8(0);
    const host = pkt.u8(1);
    if (operation === undefined || host === undefined) return pass;
    const cell = answers.at(0);
    const held = numbers.get(host);
    if (held !== undefined) {
      const visit = visits.at(numbers.indexOf(held));
      visit.value = u32(visit.value + 1);
    }
    cell.value = u32(cell.value * 31 + operate(table, operation % 7, host));
    cell.value = u32(
      cell.value * 31 + operateNumbers(numbers, operation % 7, host),
    );
    return pass;
  },
});
