/** Maps as user space sees them: kernel semantics and error numbers, by type. */
import { deepEqual, equal, notEqual, throws } from "node:assert/strict";
import { test } from "node:test";
import { Random, toHex } from "../base/index.ts";
import type { MapSpec, MapTypeName } from "../isa/index.ts";
import { HashStore } from "./hash-store.ts";
import { createState, type State } from "./state.ts";

const seed = Number(process.env["DIVISI_SEED"] ?? 7);

function spec(type: MapTypeName, more: Partial<MapSpec> = {}): MapSpec {
  return {
    name: "m",
    type,
    keySize: 4,
    valueSize: 4,
    maxEntries: 3,
    flags: 0,
    section: ".maps",
    readOnly: false,
    ...more,
  };
}

const u32 = (value: number): Uint8Array =>
  Uint8Array.of(value, value >>> 8, value >>> 16, value >>> 24);

function stateOf(type: MapTypeName, more: Partial<MapSpec> = {}): State {
  return createState([spec(type, more)], { cpus: 2 });
}

/** `u1=5` updates, `u1=5/1` with flags, `d1` deletes, `l1` looks up: value or `-`. */
function play(state: State, script: string): string {
  return script
    .split(" ")
    .map((word) => {
      const [, op, key, value = "0", flags = "0"] =
        /^([udl])(\d+)(?:=(\d+))?(?:\/(\d+))?$/.exec(word) ?? [];
      const bytes = u32(Number(key));
      if (op === "u")
        return state.update("m", bytes, u32(Number(value)), Number(flags));
      if (op === "d") return state.delete("m", bytes);
      return state.lookup("m", bytes)?.[0] ?? "-";
    })
    .join(" ");
}

// prettier-ignore
const scripts: readonly (readonly [type: MapTypeName, script: string, want: string])[] = [
  ["hash", "l1 u1=5 l1 u1=6 l1 d1 d1 l1", "- 0 5 0 6 0 -2 -"],
  ["hash", "u1=5/1 u1=6/1 l1", "0 -17 5"],
  ["hash", "u1=5/2 u1=5 u1=7/2 l1", "-2 0 0 7"],
  ["hash", "u1=5/3 u1=5/4 u1=5/8", "-22 -22 -22"],
  ["hash", "u1 u2 u3 u4 u3=9 d2 u4=1 l4", "0 0 0 -7 0 0 0 1"],
  ["array", "l0 u0=5 l0 l3 u3=5 u2=1 d2", "0 0 5 - -7 0 -22"],
  ["array", "u0=1/1 u0=1/2 u0=1/3 l0", "-17 0 -22 1"],
  ["lru_hash", "u1=1 u2=2 u3=3 u4=4 l1 l2 l3 l4", "0 0 0 0 - 2 3 4"],
  ["lru_hash", "u1=1 u2=2 u3=3 u1=9 u4=4 l1 l2 l3 l4", "0 0 0 0 0 9 - 3 4"],
  ["lru_hash", "u1=1 u2=2 u3=3 d2 u4=4 l1 l3 l4", "0 0 0 0 0 1 3 4"],
  ["devmap", "l1 u1=5 l1 u3=5 d1 d1 l1", "- 0 5 -7 0 0 -"],
];

for (const [type, script, want] of scripts)
  test(`${type}: ${script}`, () => equal(play(stateOf(type), script), want));

test("a lookup by user space is no use for LRU, an update is", () => {
  equal(play(stateOf("lru_hash"), "u1=1 u2=2 u3=3 l1 u4=4 l1"), "0 0 0 1 0 -");
});

/** Longest prefix by trying all: the judge of LpmStore. */
function naiveMatch(
  entries: ReadonlyMap<string, number>,
  address: number,
): number | undefined {
  for (let length = 32; length >= 0; length--) {
    const mask = length === 0 ? 0 : (-1 << (32 - length)) >>> 0;
    const found = entries.get(`${length} ${(address & mask) >>> 0}`);
    if (found !== undefined) return found;
  }
  return undefined;
}

const prefix = (length: number, address: number): Uint8Array =>
  Uint8Array.of(
    length,
    0,
    0,
    0,
    address >>> 24,
    address >>> 16,
    address >>> 8,
    address,
  );

test(`lpm_trie finds the longest prefix (seed ${seed})`, () => {
  const random = new Random(seed);
  const state = stateOf("lpm_trie", { keySize: 8, maxEntries: 64 });
  const entries = new Map<string, number>();
  for (let value = 1; value <= 64; value++) {
    const length = random.below(33);
    const mask = length === 0 ? 0 : (-1 << (32 - length)) >>> 0;
    const address = ((random.below(4) << 30) | random.below(16)) >>> 0;
    equal(state.update("m", prefix(length, address), u32(value)), 0);
    entries.set(`${length} ${(address & mask) >>> 0}`, value);
  }
  for (let count = 0; count < 500; count++) {
    const address = ((random.below(4) << 30) | random.below(64)) >>> 0;
    equal(
      state.lookup("m", prefix(32, address))?.[0],
      naiveMatch(entries, address),
    );
  }
});

test("lpm_trie: errors", () => {
  const state = stateOf("lpm_trie", { keySize: 8, maxEntries: 2 });
  equal(state.update("m", prefix(33, 0), u32(1)), -22);
  equal(state.update("m", prefix(8, 1 << 24), u32(1)), 0);
  equal(state.update("m", prefix(8, 1 << 24), u32(1), 1), -17);
  equal(state.update("m", prefix(9, 1 << 24), u32(1), 2), -2);
  equal(state.update("m", prefix(9, 1 << 24), u32(1)), 0);
  equal(state.update("m", prefix(10, 1 << 24), u32(1)), -28);
  equal(state.delete("m", prefix(10, 1 << 24)), -2);
  equal(state.delete("m", prefix(9, 1 << 24)), 0);
});

test("per-CPU values are all copies, each rounded up to eight bytes", () => {
  const state = stateOf("percpu_hash");
  const value = Uint8Array.of(1, 2, 3, 4, 0, 0, 0, 0, 5, 6, 7, 8, 0, 0, 0, 0);
  equal(state.update("m", u32(1), value), 0);
  deepEqual(state.lookup("m", u32(1)), value);
  throws(() => state.update("m", u32(1), u32(1)), /16 bytes expected/);
});

test("queue and stack", () => {
  for (const [type, next] of [
    ["queue", 1],
    ["stack", 3],
  ] as const) {
    const state = stateOf(type, { keySize: 0 });
    const push = (value: number, flags = 0): number =>
      state.update("m", new Uint8Array(0), u32(value), flags);
    deepEqual([push(1), push(2), push(3), push(4)], [0, 0, 0, -7]);
    equal(state.lookup("m", new Uint8Array(0))?.[0], next);
    equal(push(4, 2), 0);
    deepEqual(
      state.entries("m").map(({ value }) => value[0]),
      [2, 3, 4],
    );
  }
});

test("the bytes of a spin lock are copied neither in nor out", () => {
  const state = stateOf("hash", {
    valueSize: 8,
    valueFields: [{ path: "lock", bitOffset: 0, bits: 32, kind: "spin-lock" }],
  });
  const value = Uint8Array.of(9, 9, 9, 9, 1, 2, 3, 4);
  equal(state.update("m", u32(1), value), 0);
  equal(toHex(state.lookup("m", u32(1)) ?? value), "0000000001020304");
  equal(state.update("m", u32(1), value, 4), 0);
});

test("inner maps: initial values name maps, links add them", () => {
  const inner = spec("array", { name: "inner" });
  const state = createState([
    spec("array_of_maps", {
      inner,
      values: [{ index: 1, target: { kind: "map", name: "one" } }],
    }),
  ]);
  equal(state.has("one"), true);
  state.link("m", u32(2), { ...inner, name: "two" });
  deepEqual(
    state
      .entries("m")
      .map(({ key, value }) => [toHex(key), new TextDecoder().decode(value)]),
    [
      ["01000000", "one"],
      ["02000000", "two"],
    ],
  );
});

test("data sections start with their data", () => {
  const data = Uint8Array.of(1, 2, 3, 4);
  const state = stateOf("array", { name: "m", maxEntries: 1, data });
  deepEqual(state.lookup("m", u32(0)), data);
});

test("two maps of one name, unknown names and sizes are refused", () => {
  throws(() => createState([spec("hash"), spec("hash")]), /two maps/);
  throws(() => stateOf("hash").lookup("n", u32(1)), /no map is called n/);
  throws(() => stateOf("hash").lookup("m", new Uint8Array(3)), /4 bytes/);
  throws(() => stateOf("hash", { maxEntries: 2 ** 31 }), /4 GiB/);
});

const kinds: readonly MapTypeName[] = [
  "hash",
  "array",
  "lru_hash",
  "percpu_array",
  "devmap",
];

for (const type of kinds)
  test(`${type}: a clone and its origin do not see each other (seed ${seed})`, () => {
    const random = new Random(seed);
    let state = stateOf(type, { maxEntries: 8 });
    const change = (target: State): void => {
      const value = random.bytes(target.elementSize("m"));
      if (random.chance(0.8)) target.update("m", u32(random.below(8)), value);
      else target.delete("m", u32(random.below(8)));
    };
    const shown = (target: State): string =>
      target
        .entries("m")
        .map(({ key, value }) => `${toHex(key)}=${toHex(value)}`)
        .join();
    for (let count = 0; count < 100; count++) {
      const twin = state.clone();
      equal(twin.digest(), state.digest());
      const before = shown(state);
      for (let changes = 0; changes < 3; changes++) change(twin);
      equal(shown(state), before);
      const after = shown(twin);
      for (let changes = 0; changes < 3; changes++) change(state);
      equal(shown(twin), after);
      state = twin;
    }
  });

test("the digest knows contents, not order", () => {
  const [a, b] = [stateOf("hash"), stateOf("hash")];
  play(a, "u1=1 u2=2 u3=3");
  play(b, "u3=3 u1=7 u2=2 u1=1");
  equal(a.digest(), b.digest());
  play(b, "u1=2 u2=1");
  notEqual(a.digest(), b.digest());
});

test("mutants: an LRU that forgets uses, or evicts the newest, is noticed", () => {
  const script = "u1=1 u2=2 u3=3 u1=9 u4=4 l1 l2 l3 l4";
  const want = "0 0 0 0 0 9 - 3 4";
  const original = Object.getOwnPropertyDescriptor(
    HashStore.prototype,
    "claim",
  );
  if (original === undefined) throw new Error("no claim");
  try {
    HashStore.prototype.claim = function (this: HashStore, key, flags) {
      // Updating in place, without moving the element to the end.
      const cell = this.find(key);
      return cell >= 0
        ? cell
        : (original.value as HashStore["claim"]).call(this, key, flags);
    };
    notEqual(play(stateOf("lru_hash"), script), want);
  } finally {
    Object.defineProperty(HashStore.prototype, "claim", original);
  }
  equal(play(stateOf("lru_hash"), script), want);
});
