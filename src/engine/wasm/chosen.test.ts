/**
 * What a program chooses at run time: maps out of maps of maps, functions out of
 * program arrays and by address. Against interp, in both forms of control flow; and the
 * addresses of functions that call themselves back are found out.
 */
import { deepEqual, equal, throws } from "node:assert/strict";
import { test } from "node:test";
import { Random } from "../../base/index.ts";
import type { MapSpec } from "../../isa/index.ts";
import { loadPortable } from "./program.ts";
import {
  compareEngines,
  mapOf,
  packetsOf,
  programOf,
} from "./twin.test.kit.ts";

const seed = Number(process.env["DIVISI_SEED"] ?? 1);
const packets = packetsOf(new Random(seed), 40);

function expectSame(text: string, maps: readonly MapSpec[]): void {
  for (const control of ["structured", "dispatch"] as const)
    for (const memory of ["private", { core: 0, cores: 1 }] as const) {
      const { differences } = compareEngines(programOf(text, maps), packets, {
        control,
        memory,
      });
      deepEqual(differences, [], text);
    }
}

/** Slots 0, 1 and 3 of four hold inner maps of that type. */
function mapsOf(
  outer: "array_of_maps" | "hash_of_maps",
  inner: MapSpec["type"],
): readonly MapSpec[] {
  const names = ["one", "two", "three"];
  const template = mapOf("template", inner, [4, 8, 5]);
  const values = [0, 1, 3].map((index, at) => ({
    index,
    target: { kind: "map" as const, name: names[at] ?? "" },
  }));
  return [
    mapOf("outer", outer, [4, 4, 4], { inner: template, values }),
    ...names.map((name) => ({ ...template, name })),
  ];
}

/** Key from the frame's first byte, inner key from its second. */
const lookUp = `
  r6 = *(u32 *)(r1 + 0)
  r7 = *(u8 *)(r6 + 0)
  r7 &= 3
  *(u32 *)(r10 - 4) = r7
  r7 = *(u8 *)(r6 + 1)
  r7 &= 7
  *(u32 *)(r10 - 8) = r7
  r1 = map outer ll
  r2 = r10
  r2 += -4
  call map_lookup_elem
  if r0 == 0 goto none
  r8 = r0
  r1 = r8
  r2 = r10
  r2 += -8
  call map_lookup_elem
  if r0 == 0 goto insert
  r1 = *(u64 *)(r0 + 0)
  r1 += 1
  *(u64 *)(r0 + 0) = r1
  r0 = r1
  exit
  insert:
  *(u64 *)(r10 - 16) = 1
  r1 = r8
  r2 = r10
  r2 += -8
  r3 = r10
  r3 += -16
  r4 = 0
  call map_update_elem
  exit
  none:
  r0 = 1000
  exit`;

for (const outer of ["array_of_maps", "hash_of_maps"] as const)
  for (const inner of [
    "array",
    "hash",
    "lru_hash",
    "percpu_array",
    "percpu_hash",
  ] as const)
    test(`${inner} in ${outer} (seed ${seed})`, () => {
      expectSame(lookUp, mapsOf(outer, inner));
    });

test("an inner map that was not tested for null faults where it is used", () => {
  const untested = lookUp.replace("if r0 == 0 goto none", "r9 = 0");
  expectSame(untested, mapsOf("array_of_maps", "hash"));
  const outside = lookUp.replace(
    "*(u64 *)(r0 + 0) = r1",
    "*(u64 *)(r0 + 1) = r1",
  );
  expectSame(outside, mapsOf("array_of_maps", "hash"));
});

test("a map unlike the template is refused", () => {
  const odd = mapOf("odd", "hash", [4, 16, 5]);
  const maps = [...mapsOf("array_of_maps", "hash"), odd];
  const loaded = loadPortable(programOf(lookUp, maps), { cpus: 2 });
  const put = (name: string): void => {
    const value = new TextEncoder().encode(name);
    loaded.maps.update("outer", new Uint8Array(4), value);
  };
  put("two");
  throws(() => put("odd"), /odd is not like its inner map template/);
});

test("a map that is one of two by a branch", () => {
  const text = lookUp.replace(
    "call map_lookup_elem",
    `r9 = *(u8 *)(r6 + 2)
     if r9 & 1 goto both
     r1 = map other ll
     both:
     call map_lookup_elem`,
  );
  const maps = mapsOf("array_of_maps", "hash");
  const [outer] = maps;
  if (outer === undefined) throw new Error("no outer map");
  const values = outer.values?.slice(0, 1) ?? [];
  expectSame(text, [...maps, { ...outer, name: "other", values }]);
});

const slots = (names: readonly string[]): MapSpec =>
  mapOf("programs", "prog_array", [4, 4, 8], {
    values: names.map((name, at) => ({
      index: 2 * at,
      target: { kind: "function", name },
    })),
  });

const jump = `
  r2 = map programs ll
  r3 = *(u32 *)(r1 + 12)
  r3 += -1
  call tail_call
  r0 = 99`;

test("tail calls: by slot, beyond the end, on and on", () => {
  const text = `
    ${jump}
    exit
    function second section "xdp" global
    r0 = *(u32 *)(r1 + 16)
    if r0 & 1 goto again
    r0 += 1000
    exit
    again:
    r2 = map programs ll
    r3 = 4
    call tail_call
    r0 = 55
    exit
    function third section "xdp" global
    r6 = *(u32 *)(r1 + 0)
    r0 = *(u8 *)(r6 + 0)
    r0 += 1
    *(u8 *)(r6 + 0) = r0
    r2 = map programs ll
    r3 = 4
    call tail_call
    r0 = 77
    exit`;
  expectSame(text, [slots(["main", "second", "third"])]);
});

test("a tail call out of a function returns to its caller", () => {
  const text = `
    call function inner
    r0 += 5
    exit
    function inner section ".text" static
    ${jump}
    exit
    function second section "xdp" global
    r0 = 1000
    exit`;
  expectSame(text, [slots(["second"])]);
});

test("program arrays are filled and changed between runs", () => {
  const text = `
    ${jump}
    exit
    function second section "xdp" global
    r0 = 1000
    exit
    function third section "xdp" global
    r0 = 2000
    exit`;
  const key = Uint8Array.of(0, 0, 0, 0);
  const name = (text: string): Uint8Array => new TextEncoder().encode(text);
  const [packet] = packets;
  if (packet === undefined) throw new Error("no packet");
  const input = { ...packet, ifindex: 1 };
  const loaded = loadPortable(programOf(text, [slots([])]), {
    cpus: 2,
    contents: { programs: [{ key, value: name("second") }] },
  });
  const verdict = (): number | undefined => loaded.run([input])[0]?.verdict;
  equal(verdict(), 1000);
  loaded.maps.update("programs", key, name("third"));
  equal(verdict(), 2000);
  loaded.maps.delete("programs", key);
  equal(verdict(), 99);
});

test("a callback that would run inside itself is refused", () => {
  const direct = `
    r1 = 2
    r2 = function each ll
    r3 = 0
    r4 = 0
    call loop
    exit
    function each section ".text" static
    r1 = 2
    r2 = function each ll
    r3 = 0
    r4 = 0
    call loop
    exit`;
  throws(() => loadPortable(programOf(direct)), /each calls itself/);
  // The address comes back through an argument.
  const hidden = `
    r1 = 2
    r2 = function each ll
    r3 = function each ll
    r4 = 0
    call loop
    exit
    function each section ".text" static
    r1 = 2
    r3 = r2
    r4 = 0
    call loop
    exit`;
  throws(() => loadPortable(programOf(hidden)), /each calls itself/);
});

test("a function that takes the address of itself for a timer is no cycle", () => {
  const text = `
    r2 = function fired ll
    r0 = 3
    exit
    function fired section ".text" static
    r2 = function fired ll
    r0 = 0
    exit`;
  expectSame(text, []);
});
