/**
 * Expiring maps and index allocators: against a twin that expires everything
 * before each use, and their chains' own laws after every operation.
 */
import { deepEqual, equal, ok, throws } from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { InputError, Random, toHex } from "../../base/index.ts";
import type { Chain } from "./chain.ts";
import { setClock } from "./clock.ts";
import { hashMap, type ExpiringMap } from "./expiring-map.ts";
import { indexAllocator, type IndexAllocator } from "./index-allocator.ts";
import { be32, u16, u32, u64 } from "./scalar.ts";
import { struct, type Type, type ValueOf } from "./struct.ts";

const seed = Number(process.env["DIVISI_SEED"] ?? 1);

const Key = struct("key", { address: be32, zone: u16 });
const Value = struct("value", { hits: u64, port: u16 });
type Key = ValueOf<typeof Key>;
type Table = ExpiringMap<typeof Key, typeof Value>;

interface Shape {
  readonly capacity: number;
  readonly expireAfter: bigint;
  readonly onFull: "refuse" | "evict-oldest";
}

const keyOf = (index: number): Key => ({
  address: index >>> 1,
  zone: index & 1,
});

/** The law of expiry: everything expired goes before every use. */
class Twin {
  readonly #shape: Shape;
  /** In order of last use. */
  readonly entries = new Map<number, { hits: bigint; last: bigint }>();

  constructor(shape: Shape) {
    this.#shape = shape;
  }

  expire(now: bigint): void {
    for (const [key, { last }] of this.entries)
      if (last < now - this.#shape.expireAfter) this.entries.delete(key);
  }

  refresh(key: number, now: bigint): void {
    const entry = this.entries.get(key);
    if (entry === undefined) return;
    this.entries.delete(key);
    this.entries.set(key, { ...entry, last: now });
  }

  insert(key: number, hits: bigint, now: bigint): boolean {
    if (this.entries.has(key)) return false;
    if (this.entries.size >= this.#shape.capacity) {
      const [oldest] = this.entries.keys();
      if (this.#shape.onFull === "refuse" || oldest === undefined) return false;
      this.entries.delete(oldest);
    }
    this.entries.set(key, { hits, last: now });
    return true;
  }
}

/** The chain's laws; answers what is wrong. */
function chainFaults(
  chain: Chain<never>,
  isMonotone: boolean,
): readonly string[] {
  const faults: string[] = [];
  const head = chain.cells.at(0);
  const used = Number(head.last & 0xffff_ffffn);
  if (used > chain.capacity) faults.push("more used than there are");
  const allocated = new Set<number>();
  let [before, last] = [0, 0n];
  for (let at = head.next; at !== 0; at = chain.cells.at(at).next) {
    if (allocated.has(at) || at > used)
      return [...faults, `list reaches ${at}`];
    allocated.add(at);
    const cell = chain.cells.at(at);
    if (cell.previous !== before) faults.push(`previous of ${at}`);
    if (isMonotone && cell.last < last) faults.push(`order at ${at}`);
    [before, last] = [at, cell.last];
  }
  if (head.previous !== before) faults.push("newest");
  const free = new Set<number>();
  for (
    let at = Number(head.last >> 32n);
    at !== 0;
    at = chain.cells.at(at).next
  ) {
    if (free.has(at) || allocated.has(at) || at > used)
      return [...faults, `free list reaches ${at}`];
    free.add(at);
    const { previous, last } = chain.cells.at(at);
    if (previous !== 0xffff_ffff || last !== 0n) faults.push(`free cell ${at}`);
  }
  if (allocated.size + free.size !== used) faults.push("a lost cell");
  for (let at = used + 1; at <= chain.capacity; at++) {
    const { last, next, previous } = chain.cells.at(at);
    if (last !== 0n || next !== 0 || previous !== 0)
      faults.push(`unused cell ${at}`);
  }
  return faults;
}

/** Keys in the HASH and allocated cells correspond one to one. */
function mapFaults(map: Table): readonly string[] {
  const faults: string[] = [];
  const keys = new Map(
    map.entries
      .dump()
      .map(({ key, value }) => [
        toHex(key),
        new DataView(value.buffer).getUint32(12, true),
      ]),
  );
  if (new Set(keys.values()).size !== keys.size) faults.push("an index twice");
  const allocated = new Map<string, number>();
  const cells = map.chain.cells.dump();
  let at = map.chain.cells.at(0).next;
  while (at !== 0 && allocated.size <= map.capacity) {
    const { value } = cells[at] ?? { value: new Uint8Array() };
    allocated.set(toHex(value.subarray(16, 24)), at - 1);
    at = map.chain.cells.at(at).next;
  }
  if (allocated.size !== keys.size) faults.push("keys and cells differ");
  for (const [key, index] of keys)
    if (allocated.get(key) !== index) faults.push(`cell of ${key}`);
  return faults;
}

interface Run {
  readonly seed: number;
  readonly steps: number;
  /** The clock may run backwards: then only the structure is promised. */
  readonly isMonotone: boolean;
  readonly sabotage?: (map: Table) => void;
}

/** What goes wrong in a run of random operations; the first few faults. */
function faultsOf(shape: Shape, run: Run): readonly string[] {
  const { isMonotone } = run;
  const random = new Random(run.seed);
  const map = hashMap({ key: Key, value: Value, ...shape });
  run.sabotage?.(map);
  const twin = new Twin(shape);
  const faults: string[] = [];
  let now = 0n;
  for (let step = 0; step < run.steps && faults.length < 3; step++) {
    now =
      isMonotone || random.chance(0.8)
        ? now + BigInt(random.pick([0, 0, 1, 1, 2, 5, 30]))
        : BigInt(random.below(100));
    setClock(now);
    twin.expire(now);
    const number = random.below(2 * shape.capacity + 2);
    const key = keyOf(number);
    const operation = random.pick([
      "get",
      "refresh",
      "insert",
      "insert",
      "delete",
      "keyAt",
      "entryAt",
      "getOrInsert",
    ] as const);
    const say = (have: unknown, want: unknown): void => {
      if (isMonotone && have !== want)
        faults.push(
          `step ${step}: ${operation} ${String(have)} not ${String(want)}`,
        );
    };
    const entry = map.get(key);
    say(entry?.hits, twin.entries.get(number)?.hits);
    say(map.has(key), twin.entries.has(number));
    if (operation === "refresh" && entry !== undefined) {
      map.refresh(entry);
      twin.refresh(number, now);
    } else if (operation === "insert") {
      const hits = BigInt(step);
      say(map.insert(key, { hits, port: 7 }), twin.insert(number, hits, now));
    } else if (operation === "delete") {
      const was = map.delete(key);
      if (twin.entries.delete(number)) say(was, true);
    } else if (operation === "getOrInsert") {
      const hits = BigInt(step);
      const got = map.getOrInsert(key, { hits, port: 7 });
      twin.insert(number, hits, now);
      say(got?.hits, twin.entries.get(number)?.hits);
    } else if (operation === "entryAt") {
      const index = random.below(shape.capacity + 1);
      const found = map.entryAt(index);
      say(found !== undefined, map.isAlive(index));
      say(found === undefined ? index : map.indexOf(found), index);
      say(entry === undefined || map.entryAt(entry.index) === entry, true);
    } else if (operation === "keyAt" && entry !== undefined) {
      const held = map.keyAt(map.indexOf(entry));
      say(held?.address, key.address);
      say(held?.zone, key.zone);
    }
    faults.push(
      ...chainFaults(map.chain as unknown as Chain<never>, isMonotone),
      ...mapFaults(map),
    );
  }
  const alive = [...twin.entries.keys()].filter((number) =>
    map.has(keyOf(number)),
  );
  if (isMonotone && alive.length !== twin.entries.size)
    faults.push("something is lost");
  return faults;
}

const shapes = fc.record<Shape>({
  capacity: fc.constantFrom(1, 2, 3, 8),
  expireAfter: fc.constantFrom(0n, 1n, 10n, 40n),
  onFull: fc.constantFrom("refuse", "evict-oldest"),
});

test("lazy expiry cannot be told from expiry before every use", () => {
  fc.assert(
    fc.property(shapes, fc.integer(), (shape, seed) => {
      deepEqual(faultsOf(shape, { seed, steps: 200, isMonotone: true }), []);
    }),
    { seed, numRuns: 120 },
  );
});

test("a clock that runs backwards breaks nothing", () => {
  fc.assert(
    fc.property(shapes, fc.integer(), (shape, seed) => {
      deepEqual(faultsOf(shape, { seed, steps: 200, isMonotone: false }), []);
    }),
    { seed, numRuns: 60 },
  );
});

interface Cell {
  last: bigint;
  next: number;
  previous: number;
}

test("mutants: each broken step of a chain is noticed", () => {
  const mutants: readonly (readonly [string, (map: Table) => void])[] = [
    [
      "expiry is not strict",
      ({ chain }) =>
        replace(
          chain,
          "isExpired",
          (last: bigint, now: bigint) =>
            now >= chain.expireAfter && last <= now - chain.expireAfter,
        ),
    ],
    [
      "nothing expires",
      ({ chain }) => replace(chain, "isExpired", () => false),
    ],
    [
      "refreshing keeps the place",
      ({ chain }) =>
        replace(chain, "refresh", (index: number, now: bigint) => {
          chain.cells.at(index + 1).last = now;
        }),
    ],
    [
      "refreshing keeps the time",
      ({ chain }) => replace(chain, "refresh", () => undefined),
    ],
    [
      "unlinking goes one way",
      ({ chain }) =>
        replace(chain, "unlink", (cell: { previous: number; next: number }) => {
          chain.cells.at(cell.previous).next = cell.next;
        }),
    ],
    [
      "appending forgets the way back",
      ({ chain }) => {
        replace(
          chain,
          "append",
          (head: Cell, number: number, cell: Cell, now: bigint) => {
            chain.cells.at(head.previous).next = number;
            head.previous = number;
            Object.assign(cell, { last: now, next: 0, previous: 0 });
          },
        );
      },
    ],
    [
      "a freed cell is lost",
      ({ chain }) =>
        replace(chain, "free", (index: number) => {
          const cell = chain.cells.at(index + 1);
          chain.unlink(cell);
          cell.previous = 0xffff_ffff;
          cell.last = 0n;
        }),
    ],
    [
      "a reclaimed key stays",
      (map) => replace(map.chain.entries ?? map.entries, "delete", () => true),
    ],
    [
      "a dead entry is a hit",
      (map) => replace(map.chain, "isAlive", () => true),
    ],
  ];
  for (const [name, sabotage] of mutants) {
    let noticed = false;
    for (let more = 0; more < 20 && !noticed; more++) {
      const run = { seed: seed + more, steps: 400, isMonotone: true, sabotage };
      noticed =
        faultsOf({ capacity: 3, expireAfter: 10n, onFull: "refuse" }, run)
          .length > 0;
    }
    ok(noticed, name);
  }
});

function replace(target: object, name: string, method: unknown): void {
  Object.defineProperty(target, name, { value: method });
}

test("capacity 1, step by step", () => {
  const map = hashMap({ key: be32, value: u32, capacity: 1, expireAfter: 10n });
  const at = (time: bigint): typeof map => {
    setClock(time);
    return map;
  };
  equal(at(0n).insert(1, 100), true);
  equal(at(5n).insert(1, 101), false, "it is there");
  equal(at(10n).insert(2, 200), false, "full: 0 < 10 − 10 is false");
  equal(at(10n).get(1)?.value, 100);
  equal(at(11n).get(1), undefined, "expired");
  equal(map.entries.has(1), true, "but still in the HASH");
  equal(at(11n).insert(2, 200), true, "and reclaimed");
  equal(map.entries.has(1), false);
  const entry = at(12n).get(2);
  equal(entry?.index, 0);
  if (entry !== undefined) map.refresh(entry);
  equal(at(22n).get(2)?.value, 200);
  equal(at(23n).insert(2, 201), true, "expired, overwritten in place");
  equal(at(23n).get(2)?.value, 201);
  equal(map.keyAt(0), 2);
  equal(map.keyAt(1), undefined);
  equal(at(34n).keyAt(0), undefined);
  equal(at(34n).delete(2), true, "an expired entry is still there");
  equal(at(34n).delete(2), false);
});

test("the bytes are those of nf_chain.h", () => {
  const map = hashMap({ key: Key, value: Value, capacity: 2, expireAfter: 9n });
  const dump = (): readonly string[] =>
    map
      .parts("flows")
      .flatMap(({ name, declaration }) =>
        declaration.kind === "composite"
          ? []
          : declaration
              .dump()
              .map(({ key, value }) => `${name} ${toHex(key)} ${toHex(value)}`),
      );
  deepEqual(dump(), [
    `flows_chain 00000000 ${"00".repeat(24)}`,
    `flows_chain 01000000 ${"00".repeat(24)}`,
    `flows_chain 02000000 ${"00".repeat(24)}`,
  ]);
  setClock(0x1234n);
  map.insert({ address: 0x0a00_0001, zone: 7 }, { hits: 5n, port: 80 });
  map.insert({ address: 0x0a00_0002, zone: 7 }, { hits: 6n, port: 81 });
  map.delete({ address: 0x0a00_0001, zone: 7 });
  // prettier-ignore
  deepEqual(dump(), [
    // hits, port, index (behind the port, at its own alignment)
    "flows 0a00000207000000 06000000000000005100000001000000",
    // last: used 2, first free 1; next: 2; previous: 2
    "flows_chain 00000000 020000000100000002000000020000000000000000000000",
    "flows_chain 01000000 000000000000000000000000ffffffff0a00000107000000",
    "flows_chain 02000000 341200000000000000000000000000000a00000207000000",
  ]);
});

test("a scalar value stands as `value` before the index", () => {
  const map = hashMap({ key: be32, value: u16, capacity: 1, expireAfter: 9n });
  const { size, fields } = map.entries.value;
  deepEqual(
    [size, fields.map(({ name, offset }) => `${name} ${offset}`)],
    [8, ["value 0", "index 4"]],
  );
  const Index = struct("bad", { index: u32 });
  const bad = (value: Type): unknown =>
    hashMap({ key: be32, value, capacity: 1, expireAfter: 9n });
  throws(() => bad(Index), InputError);
});

test("an allocator hands out each index once, and takes it back", () => {
  fc.assert(
    fc.property(fc.constantFrom(1, 2, 5), fc.integer(), (capacity, seed) => {
      const random = new Random(seed);
      const indices = indexAllocator({ capacity, expireAfter: 10n });
      const last = new Map<number, bigint>();
      let now = 0n;
      for (let step = 0; step < 200; step++) {
        now += BigInt(random.below(4));
        const alive = (index: number): boolean =>
          (last.get(index) ?? -100n) >= now - 10n;
        const dead = [...last.keys()].filter((index) => !alive(index));
        const oldest = indices.oldestExpired(now);
        equal(oldest === undefined, dead.length === 0);
        const index = random.below(capacity + 1);
        equal(indices.isAllocated(index, now), last.has(index) && alive(index));
        const roll = random.below(4);
        if (roll === 0) {
          indices.free(index);
          last.delete(index);
        } else if (roll === 1) {
          indices.refresh(index, now);
          if (last.has(index)) last.set(index, now);
        } else {
          const got = indices.allocate(now);
          const full = last.size === capacity && dead.length === 0;
          equal(got === undefined, full);
          if (got === undefined) continue;
          ok(got < capacity && !(last.has(got) && alive(got)), `${got}`);
          last.set(got, now);
        }
        deepEqual(chainFaults(indices.chain, true), []);
      }
    }),
    { seed, numRuns: 100 },
  );
});

test("an allocator evicts its oldest where it is told to", () => {
  const make = (onFull: "refuse" | "evict-oldest"): IndexAllocator =>
    indexAllocator({ capacity: 2, expireAfter: 1000n, onFull });
  const [strict, evicting] = [make("refuse"), make("evict-oldest")];
  for (const indices of [strict, evicting]) {
    deepEqual([indices.allocate(1n), indices.allocate(2n)], [0, 1]);
    indices.refresh(0, 3n);
  }
  deepEqual([strict.allocate(4n), evicting.allocate(4n)], [undefined, 1]);
  deepEqual(
    strict
      .parts("ids")
      .map(({ name, declaration }) => `${name} ${declaration.kind}`),
    ["ids composite", "ids_chain composite", "ids array"],
  );
});

test("what is not allocated is neither refreshed nor freed", () => {
  const indices = indexAllocator({ capacity: 3, expireAfter: 5n });
  const bytes = (): readonly string[] =>
    indices.chain.cells.dump().map(({ value }) => toHex(value));
  const index = indices.allocate(1n) ?? 0;
  indices.free(index);
  const before = bytes();
  for (const wrong of [0, 1, 2, 3, 0xffff_ffff]) {
    indices.refresh(wrong, 9n);
    indices.free(wrong);
    equal(indices.isAllocated(wrong, 1n), false);
  }
  deepEqual(bytes(), before);
});
