/**
 * Edits append BTF types and change none in place; definitions of maps read back
 * as they were written.
 */
import { deepEqual, equal, notEqual, ok, throws } from "node:assert/strict";
import process from "node:process";
import { test } from "node:test";
import {
  assert,
  bigInt,
  boolean,
  constantFrom,
  integer,
  option,
  property,
  record,
  type Arbitrary,
} from "fast-check";
import { InputError } from "../base/index.ts";
import { mapTypes, type MapSpec, type MapTypeName } from "../isa/index.ts";
import { emptyBtf, type Btf } from "./btf.ts";
import { BtfBuilder, defineMap, definesMap } from "./define-map.ts";
import {
  addMap,
  addVariable,
  emptyObject,
  removeFunctions,
  removeMap,
  replaceMap,
  resizeMap,
  setMapType,
  sizeMaps,
} from "./edit.ts";
import { compiled } from "./fixtures.test.ts";
import { parseMapDefinition } from "./map-definition.ts";
import { normalise } from "./normalise.ts";
import { readObject } from "./read-object.ts";
import type { ObjectSpec } from "./spec.ts";
import { writeObject } from "./write-object.ts";

const original = (): ObjectSpec => readObject(compiled("maps"), "maps.o");

function mapOf(object: ObjectSpec, name: string): MapSpec {
  const map = object.maps.find((other) => other.name === name);
  ok(map !== undefined, name);
  return map;
}

function rewritten(object: ObjectSpec): ObjectSpec {
  return readObject(writeObject(object), object.file);
}

/** Do all of `before`'s types stand unchanged, sections and variables aside? */
function keepsTypes(before: Btf, after: Btf): boolean {
  return before.types.every(
    (type, id) =>
      type.kind === "variable" ||
      type.kind === "section" ||
      JSON.stringify(type, big) === JSON.stringify(after.types[id], big),
  );
}

const big = (_: string, value: unknown): unknown =>
  typeof value === "bigint" ? `${value}n` : value;

function struct(object: ObjectSpec, name: string): number {
  const found = object.btf?.types.find(
    (type) => type.kind === "variable" && type.name === name,
  );
  return found?.kind === "variable" ? found.type : -1;
}

test("an edit of one map does not reach another that shares its type", () => {
  const before = original();
  equal(struct(before, "first"), struct(before, "second"), "fixture shares");
  const after = rewritten(setMapType(before, "first", "percpu_hash"));
  equal(mapOf(after, "first").type, "percpu_hash");
  deepEqual(mapOf(after, "second"), mapOf(before, "second"));
  deepEqual(mapOf(after, "outer"), mapOf(before, "outer"));
  notEqual(struct(after, "first"), struct(after, "second"));
  ok(keepsTypes(before.btf ?? emptyBtf, after.btf ?? emptyBtf));
});

test("mutant: changing the shared struct in place is caught", () => {
  const before = original();
  const id = struct(before, "first");
  const changed = normalise(setMapType(before, "first", "percpu_hash"));
  const definition = changed.btf?.types[struct(changed, "first")];
  ok(definition !== undefined && before.btf !== undefined);
  const types = [...(changed.btf?.types ?? [])];
  types[id] = definition;
  const mutant = rewritten({ ...before, btf: { types }, maps: before.maps });
  // Seen by the types, and by what another loader would read of `second`.
  ok(!keepsTypes(before.btf, { types }));
  equal(parseMapDefinition({ types }, id, "second").map.type, "percpu_hash");
  // Our writer takes the maps' word and repairs even that.
  equal(mapOf(mutant, "second").type, "hash");
});

test("numbers are types: `type` is a pointer to an array of so many ints", () => {
  const { btf } = normalise(setMapType(original(), "first", "percpu_hash"));
  const changed = normalise(setMapType(original(), "first", "percpu_hash"));
  const definition = btf?.types[struct(changed, "first")];
  ok(definition?.kind === "struct");
  const [member] = definition.members;
  const pointer = btf?.types[member?.type ?? 0];
  ok(member?.name === "type" && pointer?.kind === "pointer");
  const array = btf?.types[pointer.type];
  ok(array?.kind === "array");
  equal(array.count, mapTypes.percpu_hash.number);
});

test("edits read back", () => {
  const object = original();
  const added: MapSpec = {
    name: "extra",
    type: "lru_hash",
    keySize: 12,
    valueSize: 3,
    maxEntries: 5,
    flags: 2,
    section: ".maps",
    readOnly: false,
    pinning: "by-name",
    numaNode: 0,
  };
  const cases: readonly (readonly [
    string,
    ObjectSpec,
    string,
    Partial<MapSpec>,
  ])[] = [
    ["resize", resizeMap(object, "second", 99), "second", { maxEntries: 99 }],
    [
      "type",
      setMapType(object, "second", "lru_hash"),
      "second",
      { type: "lru_hash" },
    ],
    [
      "replace",
      replaceMap(object, { ...mapOf(object, "second"), flags: 1 }),
      "second",
      { flags: 1 },
    ],
    ["add", addMap(object, added), "extra", added],
  ];
  for (const [what, edited, name, want] of cases) {
    const map = mapOf(rewritten(edited), name);
    for (const [key, value] of Object.entries(want))
      deepEqual(map[key as keyof MapSpec], value, `${what} ${key}`);
  }
});

test("a removed map is gone, and one in use stays", () => {
  const object = original();
  throws(() => removeMap(object, "first"), /is used by outer/);
  throws(() => removeMap(object, "outer"), /is used by entry/);
  throws(() => removeMap(object, ".data"), InputError);
  throws(() => removeMap(object, "nowhere"), InputError);
  throws(() => removeFunctions(object, new Set(["weigh"])), /is used by entry/);
  const spare = addMap(object, { ...mapOf(object, "second"), name: "spare" });
  deepEqual(
    rewritten(removeMap(spare, "spare")).maps.map(({ name }) => name),
    object.maps.map(({ name }) => name),
  );
  const { btfKey, btfValue, ...untyped } = mapOf(object, "second");
  ok(btfKey !== undefined && btfValue !== undefined);
  const bare = addMap(emptyObject("x.o", "GPL"), untyped);
  const gone = rewritten(removeMap(rewritten(bare), "second"));
  deepEqual(gone.maps, []);
});

test("variables go behind those that are there", () => {
  const object = original();
  const one = addVariable(object, ".data", "ready", Uint8Array.of(1, 2, 3, 4));
  equal(one.variable.offset, 8);
  const two = addVariable(one.object, ".data.fresh", "key", new Uint8Array(40));
  const read = rewritten(two.object);
  deepEqual(
    mapOf(read, ".data").data,
    Uint8Array.of(7, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4),
  );
  deepEqual(
    mapOf(read, ".data").valueFields?.map(({ path, bitOffset, bits }) => [
      path,
      bitOffset,
      bits,
    ]),
    [
      ["bias", 0, 64],
      ["ready", 64, 32],
    ],
  );
  equal(mapOf(read, ".data.fresh").valueSize, 40);
  throws(() => addVariable(object, ".data", "bias", new Uint8Array(4)));
  throws(() => addVariable(object, ".text", "x", new Uint8Array(4)));
});

test("definitions of maps read back as written", () => {
  const names = Object.keys(mapTypes) as MapTypeName[];
  const sized = integer({ min: 0, max: 0xffff_ffff });
  const optional = <T>(value: Arbitrary<T>): Arbitrary<T | undefined> =>
    option(value, { nil: undefined });
  const map = record({
    type: constantFrom(...names),
    keySize: sized,
    valueSize: sized,
    maxEntries: sized,
    flags: sized,
    extra: optional(bigInt({ min: 1n, max: (1n << 64n) - 1n })),
    numaNode: optional(sized),
    pinned: boolean(),
  }).map(({ extra, numaNode, pinned, ...rest }): MapSpec => ({
    name: "m",
    ...rest,
    ...(extra === undefined ? {} : { extra }),
    ...(numaNode === undefined ? {} : { numaNode }),
    ...(pinned ? { pinning: "by-name" } : {}),
    section: ".maps",
    readOnly: (rest.flags & 128) !== 0,
  }));
  const seed = Number(process.env["DIVISI_SEED"] ?? Date.now() % 0x7fff_ffff);
  assert(
    property(map, optional(map), (spec, template) => {
      const { ofMaps } = mapTypes[spec.type] as { ofMaps?: true };
      const want: MapSpec =
        ofMaps === true && template !== undefined
          ? { ...spec, valueSize: 4, inner: { ...template, name: "m.inner" } }
          : spec;
      const builder = new BtfBuilder(emptyBtf);
      const id = defineMap(builder, want);
      deepEqual(parseMapDefinition(builder.btf, id, "m").map, want);
      ok(definesMap(builder.btf, id, want));
      ok(
        !definesMap(builder.btf, id, {
          ...want,
          maxEntries: want.maxEntries ^ 1,
        }),
      );
    }),
    { seed, numRuns: 500 },
  );
});

test("sizes that are left to user space: entries, a page for rings, templates too", () => {
  const object = original();
  const inner = { ...mapOf(object, "second"), maxEntries: 0 };
  const plain = { ...inner, name: "plain", section: ".maps" };
  // prettier-ignore
  const added = [plain, { ...plain, name: "ring", type: "ringbuf" }, { ...plain, name: "local", type: "sk_storage" }, { ...plain, name: "holder", type: "array_of_maps", maxEntries: 3, inner }] as const;
  const before = added.reduce<ObjectSpec>(addMap, object);
  const { object: after, sized } = sizeMaps(before, 5);
  deepEqual(sized, ["plain", "ring"]);
  deepEqual(
    added.map(({ name }) => mapOf(after, name).maxEntries),
    [5, 4096, 0, 3],
  );
  equal(mapOf(after, "holder").inner?.maxEntries, 5);
  deepEqual(mapOf(after, "second"), mapOf(object, "second"));
});
