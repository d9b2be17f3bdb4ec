/** Small programs as text, and the accesses that the report has for them. */
import { deepEqual, equal } from "node:assert/strict";
import { test } from "node:test";
import { parseFunction, type MapSpec, type ProgramSpec } from "../isa/index.ts";
import { analyse } from "./analyse.ts";

function map(name: string, more: Partial<MapSpec> = {}): MapSpec {
  return {
    name,
    type: "hash",
    keySize: 4,
    valueSize: 8,
    maxEntries: 16,
    flags: 0,
    section: ".maps",
    readOnly: false,
    ...more,
  };
}

const readOnly = map(".rodata", {
  type: "array",
  valueSize: 8,
  readOnly: true,
  section: ".rodata",
  data: new Uint8Array([7, 0, 0, 0, 0, 0, 0, 0]),
  valueFields: [{ path: "port", bitOffset: 0, bits: 32, kind: "int" }],
});

const globals = map(".bss", {
  type: "array",
  section: ".bss",
  data: new Uint8Array(8),
});

function program(text: string): ProgramSpec {
  return {
    file: "test.o",
    name: "main",
    section: "xdp",
    type: "xdp",
    license: "GPL",
    functions: [parseFunction(text)],
    maps: [
      map("m"),
      map("a", { type: "array" }),
      map("lru", { type: "lru_hash" }),
      map("outer", {
        type: "array_of_maps",
        valueSize: 4,
        inner: map("inner", { valueSize: 16 }),
      }),
      readOnly,
      globals,
    ],
  };
}

/** `m lookup ipv4.src | IPv4`, one a line, of the objects that are touched. */
function accesses(text: string): string[] {
  return analyse(program(text)).objects.flatMap((object) =>
    object.accesses.map(
      ({ op, key, guard }) =>
        `${object.name} ${op} ${key.text} | ${guard.text}`,
    ),
  );
}

const start = `
  r6 = r1
  r2 = *(u32 *)(r6 + 0)
  r3 = *(u32 *)(r6 + 4)
  r4 = r2
  r4 += 54
  if r4 > r3 goto out`;
const isIp = `
  r4 = *(u16 *)(r2 + 12)
  if r4 != 8 goto out`;
const lookup = (name: string) => `
  r2 = r10
  r2 += -8
  r1 = map ${name} ll
  call map_lookup_elem`;
const end = `
out:
  r0 = 2
  exit`;

// Name, code, accesses.
// prettier-ignore
const table: readonly (readonly [string, string, readonly string[]])[] = [
  ["a field", `${start}${isIp}
  r5 = *(u32 *)(r2 + 26)
  *(u32 *)(r10 - 8) = r5${lookup("m")}`, ["m lookup ipv4.src | IPv4"]],
  ["a field that no test implies", `${start}
  r5 = *(u32 *)(r2 + 26)
  *(u32 *)(r10 - 8) = r5${lookup("m")}`, ["m lookup payload | any packet"]],
  ["byte order does not matter to the text", `${start}${isIp}
  r5 = *(u32 *)(r2 + 30)
  r5 = be32 r5
  *(u32 *)(r10 - 8) = r5${lookup("m")}`, ["m lookup ipv4.dst | IPv4"]],
  ["a mask and a shift", `${start}${isIp}
  r5 = *(u8 *)(r2 + 29)
  r5 &= 60
  r5 >>= 2
  *(u32 *)(r10 - 8) = r5${lookup("a")}`, ["a lookup ipv4.src[26:30] | IPv4"]],
  ["an XOR", `${start}${isIp}
  r5 = *(u32 *)(r2 + 26)
  r4 = *(u32 *)(r2 + 30)
  r5 ^= r4
  *(u32 *)(r10 - 8) = r5${lookup("m")}`, ["m lookup ipv4.src^ipv4.dst | IPv4"]],
  ["a key in the frame itself", `${start}${isIp}
  r2 += 26
  r1 = map m ll
  call map_lookup_elem`, ["m lookup ipv4.src | IPv4"]],
  ["a constant", `
  *(u32 *)(r10 - 8) = 5${lookup("a")}`, ["a lookup 5 | any packet"]],
  ["time", `
  call ktime_get_ns
  *(u32 *)(r10 - 8) = r0${lookup("m")}`, ["m lookup time | any packet"]],
  ["the CPU", `
  call get_smp_processor_id
  *(u32 *)(r10 - 8) = r0${lookup("a")}`, ["a lookup cpu | any packet"]],
  ["the queue", `
  r5 = *(u32 *)(r1 + 16)
  *(u32 *)(r10 - 8) = r5${lookup("a")}`, ["a lookup queue | any packet"]],
  ["a port that is tested against a constant of the user", `
  r5 = *(u32 *)(r1 + 12)
  r4 = value .rodata[0] ll
  r4 = *(u32 *)(r4 + 0)
  if r5 != r4 goto out
  *(u32 *)(r10 - 8) = r5${lookup("a")}`, ["a lookup 7 | ifindex 7"]],
  ["what another cell holds", `
  *(u32 *)(r10 - 8) = 0${lookup("a")}
  if r0 == 0 goto out
  r5 = *(u32 *)(r0 + 4)
  *(u32 *)(r10 - 8) = r5${lookup("m")}`, ["m lookup value of a | any packet", "a lookup 0 | any packet", "a read 0 | any packet"]],
  ["an inner map", `
  *(u32 *)(r10 - 8) = 1${lookup("outer")}
  if r0 == 0 goto out
  *(u32 *)(r10 - 8) = 2
  r2 = r10
  r2 += -8
  r1 = r0
  call map_lookup_elem`, ["outer lookup 1 | any packet", "outer[] lookup 2 | any packet"]],
  ["a global variable", `
  r1 = value .bss[0] ll
  r2 = 1
  lock *(u64 *)(r1 + 0) += r2`, [".bss add 0 | any packet"]],
  ["a key that was never written", lookup("m"), ["m lookup unknown | any packet"]],
  ["two keys on two paths", `${start}${isIp}
  r5 = *(u8 *)(r2 + 23)
  if r5 == 6 goto tcp
  r4 = *(u32 *)(r2 + 30)
  goto both
tcp:
  r4 = *(u32 *)(r2 + 26)
both:
  *(u32 *)(r10 - 8) = r4${lookup("m")}`, ["m lookup ipv4.dst | IPv4", "m lookup ipv4.src | IPv4, TCP"]],
  ["a store into the frame is read back", `${start}${isIp}
  *(u32 *)(r2 + 26) = 9
  r5 = *(u32 *)(r2 + 26)
  *(u32 *)(r10 - 8) = r5${lookup("m")}`, ["m lookup 9 | IPv4"]],
  ["a frame that was moved is not known", `${start}${isIp}
  r1 = r6
  r2 = -4
  call xdp_adjust_head
  r2 = *(u32 *)(r6 + 0)
  r3 = *(u32 *)(r6 + 4)
  r4 = r2
  r4 += 54
  if r4 > r3 goto out
  r5 = *(u32 *)(r2 + 26)
  *(u32 *)(r10 - 8) = r5${lookup("m")}`, ["m lookup payload | IPv4"]],
];

for (const [name, code, want] of table)
  test(`key: ${name}`, () => {
    deepEqual(accesses(`${code}${end}`), want);
  });

const cell = (code: string) => `
  *(u32 *)(r10 - 8) = 0${lookup("a")}
  if r0 == 0 goto out${code}${end}`;

// prettier-ignore
const classes: readonly (readonly [string, string, string, readonly string[]])[] = [
  ["an atomic addition", "\n  r1 = 1\n  lock *(u64 *)(r0 + 0) += r1", "add-only", []],
  ["load, add, store", "\n  r1 = *(u64 *)(r0 + 0)\n  r1 += 3\n  *(u64 *)(r0 + 0) = r1", "add-only", ["lost-update"]],
  ["load, subtract, store", "\n  r1 = *(u64 *)(r0 + 0)\n  r1 -= 3\n  *(u64 *)(r0 + 0) = r1", "add-only", ["lost-update"]],
  ["load, multiply, store", "\n  r1 = *(u64 *)(r0 + 0)\n  r1 *= 3\n  *(u64 *)(r0 + 0) = r1", "read-write", ["lost-update"]],
  ["a sum that is stored elsewhere", "\n  r1 = *(u32 *)(r0 + 0)\n  r1 += 3\n  *(u32 *)(r0 + 4) = r1", "read-write", ["lost-update"]],
  ["a sum that is looked at", "\n  r1 = *(u64 *)(r0 + 0)\n  r1 += 3\n  *(u64 *)(r0 + 0) = r1\n  if r1 > 9 goto out", "read-write", ["lost-update"]],
  ["an old value that is looked at", "\n  r1 = 1\n  r1 = atomic_fetch_add((u64 *)(r0 + 0), r1)\n  if r1 > 9 goto out", "read-write", []],
  ["a blind store", "\n  *(u64 *)(r0 + 0) = 1", "read-write", ["unlocked-write"]],
  ["a load", "\n  r1 = *(u64 *)(r0 + 0)\n  if r1 > 9 goto out", "read-only", []],
];

for (const [name, code, access, races] of classes)
  test(`access: ${name}`, () => {
    const report = analyse(program(cell(code)));
    equal(report.objects.find((object) => object.name === "a")?.access, access);
    deepEqual(
      report.races.map(({ kind }) => kind),
      races,
    );
  });

test("a read-only variable has the value it starts with", () => {
  const code = `
  r5 = *(u32 *)(r1 + 12)
  r4 = value .rodata[0] ll
  r4 = *(u32 *)(r4 + 0)
  if r5 != r4 goto out
  *(u32 *)(r10 - 8) = 1${lookup("a")}${end}`;
  const before = program(code);
  deepEqual(analyse(before).testedPorts, [7]);
  const holding = (value: number) => {
    const data = new Uint8Array([value, 0, 0, 0, 0, 0, 0, 0]);
    const maps = before.maps.map((map) =>
      map.name === ".rodata" ? { ...map, data } : map,
    );
    return analyse({ ...before, maps });
  };
  deepEqual(holding(9).testedPorts, [9]);
  // No interface has the number 0: nobody need name a port for it.
  const { testsPort, notes } = holding(0);
  equal(testsPort, false);
  deepEqual(
    notes.map(({ code }) => code),
    ["port-unset"],
  );
});

test("a loop ends, and what changes in it is unknown", () => {
  deepEqual(
    accesses(`
  r7 = *(u32 *)(r1 + 12)
  r6 = 0
again:
  *(u32 *)(r10 - 8) = r6${lookup("a")}
  r6 += 1
  if r6 < r7 goto again${end}`),
    ["a lookup unknown | any packet"],
  );
});

test("a loop that counts to a number is its rounds", () => {
  deepEqual(
    accesses(`
  r6 = 0
again:
  *(u32 *)(r10 - 8) = r6${lookup("a")}
  r6 += 1
  if r6 < 3 goto again${end}`),
    [0, 1, 2].map((key) => `a lookup ${key} | any packet`),
  );
});

test("a map that could be an inner map shares the inner map's cells", () => {
  const maps = [
    map("inner1"),
    map("other", { keySize: 8 }),
    map("outer", { type: "array_of_maps", valueSize: 4, inner: map("inner") }),
  ];
  const text = `
  *(u32 *)(r10 - 8) = 1${lookup("outer")}
  if r0 == 0 goto out
  *(u32 *)(r10 - 8) = 2
  r2 = r10
  r2 += -8
  r1 = r0
  call map_delete_elem
  *(u32 *)(r10 - 8) = 3${lookup("inner1")}${end}`;
  const { objects } = analyse({ ...program(text), maps });
  deepEqual(
    objects.map(({ name, accesses }) =>
      [name, ...accesses.map(({ op, key }) => `${op} ${key.text}`)].join(", "),
    ),
    [
      "inner1, delete 2, lookup 3",
      "other",
      "outer, lookup 1",
      "outer[], delete 2, lookup 3",
    ],
  );
});
