/**
 * Primitive state against naive twins over random operations. Eviction and full
 * maps need few keys and a small capacity, so that they happen all the time.
 */
import { deepEqual, equal, notEqual, throws } from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { InputError, Random, toHex } from "../../base/index.ts";
import { inPrefix, parsePrefix } from "../../packet/index.ts";
import { array } from "./array-map.ts";
import { counter } from "./counter.ts";
import type { MapEntry } from "./declaration.ts";
import { hashMap } from "./expiring-map.ts";
import { HashMap } from "./hash-map.ts";
import { LpmTrie, lpmTrie } from "./lpm-trie.ts";
import { LruMap, lruMap } from "./lru-map.ts";
import { perCpu } from "./per-cpu.ts";
import { ringEvents } from "./ring-events.ts";
import { be16, be32, ipv4, mac, u32, u64, u8 } from "./scalar.ts";
import { struct, type ValueOf } from "./struct.ts";
import { bytesOf } from "./value.ts";

const seed = Number(process.env["DIVISI_SEED"] ?? 1);

const Key = struct("key", { address: be32, port: be16, station: mac });
const Value = struct("value", { hits: u32, total: u64 });
type Key = ValueOf<typeof Key>;
type Value = ValueOf<typeof Value>;
type Table =
  HashMap<typeof Key, typeof Value> | LruMap<typeof Key, typeof Value>;

const keyOf = (index: number): Key => ({
  address: index >>> 2,
  port: index & 1,
  station: BigInt((index >>> 1) & 1),
});
const valueOf = (hits: number): Value => ({ hits, total: BigInt(hits) });

/** What the maps should do, over a Map in order of last use. */
class Twin {
  readonly #capacity: number;
  readonly #isLru: boolean;
  readonly values = new Map<string, [Key, Value]>();

  constructor(capacity: number, isLru: boolean) {
    this.#capacity = capacity;
    this.#isLru = isLru;
  }

  get(key: Key): Value | undefined {
    const name = nameOf(key);
    const held = this.values.get(name);
    if (held === undefined) return undefined;
    if (this.#isLru) {
      this.values.delete(name);
      this.values.set(name, held);
    }
    return held[1];
  }

  set(key: Key, value: Value): boolean {
    const held = this.get(key);
    if (held === undefined) return this.#add(key, value);
    this.values.set(nameOf(key), [key, { ...value }]);
    return true;
  }

  insert(key: Key, value: Value): boolean {
    return !this.values.has(nameOf(key)) && this.#add(key, value);
  }

  delete(key: Key): boolean {
    return this.values.delete(nameOf(key));
  }

  #add(key: Key, value: Value): boolean {
    if (this.values.size >= this.#capacity) {
      const [oldest] = this.values.keys();
      if (!this.#isLru || oldest === undefined) return false;
      this.values.delete(oldest);
    }
    this.values.set(nameOf(key), [key, { ...value }]);
    return true;
  }
}

function nameOf(key: Key): string {
  return `${key.address} ${key.port} ${key.station}`;
}

const hexOf = (entries: readonly MapEntry[]): readonly string[] =>
  entries.map(({ key, value }) => `${toHex(key)}=${toHex(value)}`).sort();

/** What map and twin answer to `steps` random operations, and what they hold then. */
function answers(
  table: Table,
  capacity: number,
  { seed, steps }: { readonly seed: number; readonly steps: number },
): { readonly have: readonly unknown[]; readonly want: readonly unknown[] } {
  const random = new Random(seed);
  const twin = new Twin(capacity, table.kind === "lru-hash");
  const have: unknown[] = [];
  const want: unknown[] = [];
  for (let step = 0; step < steps; step++) {
    const key = keyOf(random.below(2 * capacity + 2));
    const value = valueOf(random.below(100));
    const operation = random.pick([
      "get",
      "write",
      "has",
      "set",
      "insert",
      "delete",
    ] as const);
    if (operation === "get" || operation === "write") {
      const [mine, theirs] = [table.get(key), twin.get(key)];
      have.push({ ...mine });
      want.push({ ...theirs });
      // References: what is assigned stays.
      if (operation === "write" && mine !== undefined && theirs !== undefined)
        mine.hits = theirs.hits = step;
    } else if (operation === "has") {
      have.push(table.has(key));
      want.push(twin.get(key) !== undefined);
    } else if (operation === "delete") {
      have.push(table.delete(key));
      want.push(twin.delete(key));
    } else {
      have.push(table[operation](key, value));
      want.push(twin[operation](key, value));
      // Copies: the caller's own value is the caller's.
      value.hits = 1_000_000;
    }
  }
  have.push(hexOf(table.dump()));
  const entries = [...twin.values.values()].map(([key, value]) => ({
    key: bytesOf(Key, key),
    value: bytesOf(Value, value),
  }));
  want.push(hexOf(entries));
  if (table.kind === "lru-hash") {
    have.push(table.dump().map(({ key }) => toHex(key)));
    want.push(entries.map(({ key }) => toHex(key)));
  }
  return { have, want };
}

const hashOf = (capacity: number): HashMap<typeof Key, typeof Value> =>
  hashMap({ key: Key, value: Value, capacity });
const lruOf = (capacity: number): LruMap<typeof Key, typeof Value> =>
  lruMap({ key: Key, value: Value, capacity });

for (const [name, make] of [
  ["hashMap", hashOf],
  ["lruMap", lruOf],
] as const)
  // prettier-ignore
  test(`${name} is its twin, from capacity 1 on`, () => {
    const run = { numRuns: 60, seed };
    const capacity = fc.constantFrom(1, 2, 3, 7, 40);
    fc.assert(
      fc.property(capacity, fc.integer(), (capacity, seed) => {
        const { have, want } = answers(make(capacity), capacity, { seed, steps: 400 });
        deepEqual(have, want);
      }),
      run,
    );
  });

test("mutants: a map that forgets, overfills, lends or misjudges use is noticed", () => {
  class Overfull extends HashMap<typeof Key, typeof Value> {
    override readonly capacity = 6;
  }
  class Sticky extends HashMap<typeof Key, typeof Value> {
    override delete(key: Key): boolean {
      return this.has(key);
    }
  }
  class Alias extends HashMap<typeof Key, typeof Value> {
    override get(key: Key): Value | undefined {
      const value = super.get(key);
      return value === undefined ? undefined : { ...value };
    }
  }
  class Overwriting extends HashMap<typeof Key, typeof Value> {
    override insert(key: Key, value: Value): boolean {
      return this.set(key, value);
    }
  }
  class Fifo extends LruMap<typeof Key, typeof Value> {
    override get(key: Key): Value | undefined {
      return this.delete(key) ? undefined : super.get(key);
    }
  }
  class Peeking extends LruMap<typeof Key, typeof Value> {
    override insert(key: Key, value: Value): boolean {
      return !this.has(key) && super.insert(key, value);
    }
  }
  const options = { key: Key, value: Value, capacity: 5 };
  for (const mutant of [
    new Overfull(options),
    new Sticky(options),
    new Alias(options),
    new Overwriting(options),
    new Fifo(options),
    new Peeking(options),
  ]) {
    const { have, want } = answers(mutant, 5, { seed, steps: 2000 });
    notEqual(
      JSON.stringify(have, text),
      JSON.stringify(want, text),
      mutant.constructor.name,
    );
  }
});

const text = (_: string, value: unknown): unknown =>
  typeof value === "bigint" ? `${value}n` : value;

test("keys are the same exactly when their bytes are", () => {
  const map = hashMap({ key: Key, value: u32, capacity: 10 });
  map.set({ address: 1, port: 2, station: 3n }, 1);
  map.set({ station: 3n, port: 2, address: 1 }, 2);
  equal(map.get({ address: 1, port: 2, station: 3n })?.value, 2);
  equal(map.dump().length, 1);
  equal(map.get({ address: 1, port: 2, station: 4n }), undefined);
  throws(() => map.has({ address: -1, port: 2, station: 3n }), InputError);
});

test("many keys: the index grows, and removal leaves no hole", () => {
  const map = hashMap({ key: be32, value: u32, capacity: 20_000 });
  for (let key = 0; key < 20_000; key++)
    equal(map.insert(key * 65_536 + key, key), true);
  equal(map.insert(7, 0), false, "full");
  for (let key = 0; key < 20_000; key += 2)
    equal(map.delete(key * 65_536 + key), true);
  for (let key = 0; key < 20_000; key++)
    equal(map.get(key * 65_536 + key)?.value, key % 2 === 0 ? undefined : key);
  equal(map.dump().length, 10_000);
});

test("an array has all its cells from the start, and no others", () => {
  const cells = array({
    value: Value,
    capacity: 3,
    initial: [[1, valueOf(5)]],
  });
  deepEqual(cells.get(1), valueOf(5));
  deepEqual(cells.at(0), valueOf(0));
  for (const index of [3, -1, 0.5 + 3, Number.NaN])
    equal(cells.get(index), undefined);
  throws(() => cells.at(3), /cell 3 of an array of 3/);
  cells.at(2).total = 7n;
  deepEqual(hexOf(cells.dump()), [
    "00000000=00000000000000000000000000000000",
    "01000000=05000000000000000500000000000000",
    "02000000=00000000000000000700000000000000",
  ]);
  deepEqual(
    hexOf(cells.renew().dump())[2],
    "02000000=00000000000000000000000000000000",
  );
  const numbers = array({ value: u64, capacity: 2 });
  numbers.at(1).value = 3n;
  deepEqual(hexOf(numbers.dump()), [
    "00000000=0000000000000000",
    "01000000=0300000000000000",
  ]);
});

test("the longest prefix wins", () => {
  const random = new Random(seed);
  const pool = Array.from({ length: 60 }, () => {
    const length = random.pick([0, 1, 8, 9, 15, 16, 24, 31, 32]);
    const address = [
      10,
      random.below(4),
      random.below(2) * 128,
      random.below(256),
    ];
    return `${address.join(".")}/${length}`;
  });
  const trie = lpmTrie({ value: u32, capacity: 1000 });
  const naive = new Map<string, number>();
  const canonical = (prefix: string): string => {
    const { address, length } = parsePrefix(prefix);
    return `${length === 0 ? 0n : address >> BigInt(32 - length)}/${length}`;
  };
  const best = (address: number): number | undefined => {
    const holding = pool
      .filter((prefix) => naive.has(canonical(prefix)))
      .filter((prefix) => inPrefix(parsePrefix(prefix), 4, BigInt(address)))
      .sort((a, b) => parsePrefix(b).length - parsePrefix(a).length);
    return holding[0] === undefined
      ? undefined
      : naive.get(canonical(holding[0]));
  };
  for (let step = 0; step < 2000; step++) {
    const prefix = random.pick(pool);
    const value = random.below(1000);
    if (random.chance(0.1))
      equal(trie.delete(prefix), naive.delete(canonical(prefix)));
    else if (random.chance(0.3)) {
      equal(trie.set(prefix, value), true);
      naive.set(canonical(prefix), value);
    }
    const address = (ipv4("10.0.0.0") + random.below(0x4_0000)) >>> 0;
    equal(trie.get(address)?.value, best(address));
  }
  equal(trie.dump().length, naive.size);
});

test("a trie is full, filled from the start, and speaks IPv4 only", () => {
  const trie = lpmTrie({
    value: u8,
    capacity: 2,
    initial: [["10.0.0.0/8", 1]],
  });
  equal(trie.set("10.1.0.0/16", 2), true);
  equal(trie.set("10.1.2.3/16", 3), true, "the same prefix");
  equal(trie.set("0.0.0.0/0", 4), false, "full");
  equal(trie.get(ipv4("10.1.9.9"))?.value, 3);
  equal(trie.get(ipv4("10.2.9.9"))?.value, 1);
  equal(trie.get(ipv4("11.2.9.9")), undefined);
  deepEqual(hexOf(trie.dump()), ["080000000a000000=01", "100000000a010000=03"]);
  throws(() => trie.set("::/0", 1), InputError);
  throws(
    () =>
      new LpmTrie({
        value: u8,
        capacity: 1,
        initial: [
          ["1.0.0.0/8", 1],
          ["2.0.0.0/8", 1],
        ],
      }).dump(),
    InputError,
  );
});

test("a counter counts modulo 2^64", () => {
  const hits = counter();
  hits.increment();
  hits.add(41);
  equal(hits.count, 42n);
  equal(hits.fetchAdd(8n), 42n);
  equal(hits.fetchAdd(0), 50n);
  hits.add((1n << 64n) - 51n);
  equal(hits.count, (1n << 64n) - 1n);
  hits.increment();
  equal(hits.count, 0n);
  for (let i = 0; i < 9000; i++) hits.add(2 ** 39);
  equal(hits.count, 9000n << 39n);
  deepEqual(hexOf(hits.dump()), [
    `00000000=${toHex(bytesOf(u64, 9000n << 39n))}`,
  ]);
  equal(hits.renew().count, 0n);
});

test("a ring lists copies of what is emitted, once", () => {
  const ring = ringEvents({ value: Value, capacity: 4096 });
  const value = valueOf(1);
  equal(ring.emit(value), true);
  value.hits = 2;
  ring.emit(value);
  deepEqual(ring.drain(), [
    { hits: 1, total: 1n },
    { hits: 2, total: 1n },
  ]);
  deepEqual(ring.drain(), []);
  for (const capacity of [4095, 2048, 6000, 2 ** 32])
    throws(() => ringEvents({ value: u8, capacity }), InputError);
});

test("per-CPU state is the inner state under another kind", () => {
  const inner = perCpu(hashMap({ key: u8, value: u32, capacity: 1 }));
  equal(inner.kind, "percpu-hash");
  equal(inner.insert(1, 5), true);
  equal(inner.insert(2, 5), false);
  equal(inner.renew().kind, "percpu-hash");
  equal(
    perCpu(array({ value: u32, capacity: 1 })).renew().kind,
    "percpu-array",
  );
});

test("wrong capacities and initial contents are said", () => {
  for (const capacity of [0, -1, 1.5, Number.NaN, 2 ** 32]) {
    throws(() => hashMap({ key: u8, value: u8, capacity }), InputError);
    throws(() => lruMap({ key: u8, value: u8, capacity }), InputError);
    throws(() => lpmTrie({ value: u8, capacity }), InputError);
    throws(() => array({ value: u8, capacity }), InputError);
  }
  const over = hashMap({
    key: u8,
    value: u8,
    capacity: 1,
    initial: [
      [1, 1],
      [2, 2],
    ],
  });
  throws(() => over.get(1), /more initial contents than the capacity of 1/);
});
