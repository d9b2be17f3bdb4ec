/** What becomes of maps under another program: have, want. */
import { deepEqual } from "node:assert/strict";
import { test } from "node:test";
import type { MapRecord } from "./attachment.ts";
import { mapChanges } from "./map-change.ts";

type Fields = MapRecord["valueFields"];

/** `packets:64 bytes:64`. */
function fields(text: string): Fields {
  let bitOffset = 0;
  return text.split(" ").map((word) => {
    const [path = "", bits = "0"] = word.split(":");
    const field = { path, bitOffset, bits: Number(bits), kind: "int" } as const;
    bitOffset += field.bits;
    return field;
  });
}

function map(more: Partial<MapRecord> = {}): MapRecord {
  return {
    name: "m",
    strategy: "shard",
    originalType: "hash",
    type: "hash",
    keySize: 4,
    valueSize: 16,
    maxEntries: 100,
    flags: 0,
    readOnly: false,
    section: "",
    keyFields: fields("saddr:32"),
    valueFields: fields("packets:64 bytes:64"),
    lanes: [],
    isFilled: false,
    ...more,
  };
}

const section = (text: string, more: Partial<MapRecord> = {}): MapRecord =>
  map({
    name: ".bss",
    section: ".bss",
    type: "array",
    originalType: "array",
    valueFields: fields(text),
    ...more,
  });

// prettier-ignore
const cases: readonly (readonly [says: string, before: readonly MapRecord[], after: readonly MapRecord[], want: readonly string[]])[] = [
  ["nothing changed", [map()], [map()], ["m keep"]],
  ["more entries", [map()], [map({ maxEntries: 200 })], ["m migrate"]],
  ["fewer entries", [map()], [map({ maxEntries: 20 })], ["m migrate"]],
  ["other flags", [map()], [map({ flags: 1 })], ["m migrate"]],
  ["merged now", [map()], [map({ type: "percpu_hash", lanes: [{ offset: 0, size: 8 }] })], ["m migrate"]],
  ["merged before", [map({ type: "percpu_hash", lanes: [{ offset: 0, size: 8 }] })], [map()], ["m migrate"]],
  ["heads of the same cores", [map({ cores: { layout: "allocator", cores: 2, capacities: [50, 50] } })], [map({ cores: { layout: "allocator", cores: 2, capacities: [50, 50] } })], ["m keep"]],
  ["heads of other cores", [map({ cores: { layout: "allocator", cores: 2, capacities: [50, 50] } })], [map({ cores: { layout: "allocator", cores: 4, capacities: [25, 25, 25, 25] } })], ["m under the new plan its cells belong to other cores, which would not find them"]],
  ["a head no more", [map({ cores: { layout: "allocator", cores: 2, capacities: [50, 50] } })], [map()], ["m under the new plan its cells belong to other cores, which would not find them"]],
  ["per CPU by the program's own will", [map()], [map({ type: "percpu_hash", originalType: "percpu_hash" })], ["m the program means a percpu_hash, not a hash"]],
  ["a dispatcher's table", [map({ writtenBy: "divisi rebalance" })], [map({ writtenBy: "divisi rebalance" })], ["m keep"]],
  ["another type", [map()], [map({ type: "lru_hash", originalType: "lru_hash" })], ["m it is a lru_hash, not a hash"]],
  ["a bigger key", [map()], [map({ keySize: 8 })], ["m keys have 8 bytes, not 4"]],
  ["a bigger value", [map()], [map({ valueSize: 24 })], ["m values have 24 bytes, not 16"]],
  ["members swapped", [map()], [map({ valueFields: fields("bytes:64 packets:64") })], ["m member bytes stands where packets stood"]],
  ["a member split", [map()], [map({ valueFields: fields("packets:64 bytes:32 drops:32") })], ["m member bytes lies or measures differently"]],
  ["a member gone", [map()], [map({ valueFields: fields("packets:64") })], ["m member bytes is gone"]],
  ["types on one side only", [map()], [map({ valueFields: [] })], ["m keep"]],
  ["a new map", [], [map()], ["m new"]],
  ["a map gone", [map()], [], ["m the new program has no map of this name"]],
  ["constants gone or changed", [map({ readOnly: true })], [], []],
  ["constants stay the new program's", [map({ readOnly: true })], [map({ readOnly: true })], ["m new"]],
  ["device maps are filled anew", [map({ isFilled: true })], [map({ isFilled: true })], ["m new"]],
  ["variables as they were", [section("a:64 b:32")], [section("a:64 b:32")], [".bss keep"]],
  ["one variable more", [section("a:64 b:32")], [section("c:64 a:64 b:32", { valueSize: 24 })], [".bss migrate"]],
  ["a variable gone", [section("a:64 b:32")], [section("a:64")], [".bss the new program has no variable b"]],
  ["a variable grew", [section("a:64 b:32")], [section("a:64 b:64")], [".bss variable b has 64 bits, not 32"]],
  ["variables without types", [section("a:64", { valueSize: 8 })], [section("a:64", { valueFields: [] })], [".bss its variables changed, and it has no types"]],
];

const moved = "packets go elsewhere";
const own = `m each core has its own part of it, and ${moved}`;
const privately = (layout: "allocator" | "sliced" | "table" | "locked") =>
  map({ cores: { layout, cores: 2, capacities: [50, 50] } });
const summed = { ...privately("sliced"), strategy: "merge" };
const perCpu = map({ type: "percpu_hash", originalType: "percpu_hash" });
const table = map({ writtenBy: "divisi rebalance" });

/** Sizes are the same, and packets find other cores than before. */
// prettier-ignore
const elsewhere: typeof cases = [
  ["heads, other packets", [privately("allocator")], [privately("allocator")], [own]],
  ["tables, other packets", [privately("table")], [privately("table")], [own]],
  ["slices of shards, other packets", [privately("sliced")], [privately("sliced")], [own]],
  ["slices that are summed, other packets", [summed], [summed], ["m keep"]],
  ["the program's copies per CPU, other packets", [perCpu], [perCpu], [own]],
  ["one for all cores, other packets", [map()], [map()], ["m keep"]],
  ["locks in values, other packets", [privately("locked")], [privately("locked")], ["m keep"]],
  ["private now, shared before", [map()], [privately("table")], [own]],
  ["a dispatcher's table, other packets", [table], [table], ["m new"]],
];

const all = [
  ...cases.map((each) => [...each, undefined] as const),
  ...elsewhere.map((each) => [...each, moved] as const),
];

for (const [says, before, after, want, reason] of all)
  void test(`upgrade: ${says}`, () => {
    deepEqual(
      mapChanges(before, after, reason).map((change) =>
        change.kind === "refuse"
          ? `${change.map} ${change.reason}`
          : `${change.map} ${change.kind}`,
      ),
      want,
    );
  });
