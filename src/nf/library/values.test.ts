/** Scalars, layouts, bytes and the hash. */
import { deepEqual, equal, notEqual, throws } from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { InputError, toHex } from "../../base/index.ts";
import { div, max, min, mul32 } from "./arithmetic.ts";
import { codecOf } from "./codec.ts";
import { hash } from "./hash.ts";
import {
  be16,
  be32,
  be64,
  bool,
  i16,
  i32,
  i64,
  i8,
  ipv4,
  mac,
  scalarRange,
  u16,
  u32,
  u64,
  u8,
  type ScalarDescription,
} from "./scalar.ts";
import { struct, vector, type Type } from "./struct.ts";
import { bytesOf, copy, copyMember, zero } from "./value.ts";

const seed = Number(process.env["DIVISI_SEED"] ?? 1);
const scalars: readonly ScalarDescription[] = [
  u8,
  u16,
  u32,
  u64,
  i8,
  i16,
  i32,
  i64,
  be16,
  be32,
  be64,
  mac,
  bool,
];

test("narrowing is modulo 2^n", () => {
  // prettier-ignore
  const cases: readonly (readonly [unknown, unknown])[] = [
    [u8(256), 0], [u8(-1), 255], [u8(0x1ffn), 255], [u16(65_537), 1], [be16(-1), 65_535],
    [u32(2 ** 32), 0], [u32(2 ** 53 - 1), 0xffff_ffff], [u32(-1), 0xffff_ffff],
    [u32(0x1_2345_6789n), 0x2345_6789], [u32(-1n), 0xffff_ffff], [be32(2 ** 32 + 5), 5],
    [i8(128), -128], [i8(255), -1], [i16(32_768), -32_768], [i32(2 ** 31), -(2 ** 31)],
    [i32(0xffff_ffffn), -1], [u64(-1), (1n << 64n) - 1n], [u64(1n << 64n), 0n],
    [u64(7), 7n], [i64((1n << 63n) + 1n), -(1n << 63n) + 1n], [be64(-1n), (1n << 64n) - 1n],
    [mac("02:00:00:00:00:01"), 0x0200_0000_0001n], [mac(1n << 48n), 0n], [mac(5), 5n],
    [bool(true), true], [ipv4("10.0.0.1"), 0x0a00_0001],
    [div(7, 2), 3], [div(-7, 2), -3], [Object.is(div(-1, 2), 0), true],
    [mul32(0xffff_ffff, 0xffff_ffff), 1], [mul32(65_536, 65_536), 0],
    [min(3, 5), 3], [min(3n, 5n), 3n], [max(3, 5), 5], [max(3n, 5n), 5n],
  ];
  for (const [have, want] of cases) equal(have, want);
  throws(() => div(1, 0));
});

test("scalars say what they are", () => {
  // prettier-ignore
  const rows = scalars.map((type) => `${type.name} ${type.size} ${type.align} ${type.bits} ${type.js} ${type.order}${type.signed ? " signed" : ""}`);
  deepEqual(rows, [
    "u8 1 1 8 number native",
    "u16 2 2 16 number native",
    "u32 4 4 32 number native",
    "u64 8 8 64 bigint native",
    "i8 1 1 8 number native signed",
    "i16 2 2 16 number native signed",
    "i32 4 4 32 number native signed",
    "i64 8 8 64 bigint native signed",
    "be16 2 2 16 number network",
    "be32 4 4 32 number network",
    "be64 8 8 64 bigint network",
    "mac 6 1 48 bigint network",
    "bool 1 1 1 boolean native",
  ]);
  deepEqual(scalarRange(i8), { low: -128n, high: 127n });
  deepEqual(scalarRange(mac), { low: 0n, high: (1n << 48n) - 1n });
});

const Inner = struct("inner", { a: u8, b: u64 });

test("structs have C's layout", () => {
  const offsets = (type: Type): string =>
    type.kind === "struct"
      ? `${type.name} ${type.size}/${type.align}: ${type.fields.map(({ name, offset }) => `${name} ${offset}`).join(" ")}`
      : "";
  // What clang says of the same structs (sizeof, offsetof).
  // prettier-ignore
  const cases: readonly (readonly [Type, string])[] = [
    [struct("flow_key", { source: be32, destination: be32, source_port: be16, destination_port: be16, protocol: u8 }),
      "flow_key 16/4: source 0 destination 4 source_port 8 destination_port 10 protocol 12"],
    [Inner, "inner 16/8: a 0 b 8"],
    [struct("station", { address: mac, port: u16 }), "station 8/2: address 0 port 6"],
    [struct("odd", { a: u8, in: Inner, v: vector(be16, 3), b: bool }), "odd 32/8: a 0 in 8 v 24 b 30"],
    [struct("bytes", { v: vector(u8, 5) }), "bytes 5/1: v 0"],
    [struct("nested", { v: vector(Inner, 2), t: u32 }), "nested 40/8: v 0 t 32"],
  ];
  for (const [type, want] of cases) equal(offsets(type), want);
  equal(Inner.name, "inner");
});

test("what is no struct is said", () => {
  throws(() => struct("two words", { a: u8 }), InputError);
  throws(() => struct("empty", {}), InputError);
  throws(() => vector(u8, 0), InputError);
});

test("a struct call copies, and so do copy and copyMember", () => {
  const Outer = struct("outer", { in: Inner, v: vector(u8, 2) });
  const part = { a: 1, b: 2n };
  const whole = Outer({ in: part, v: [1, 2] });
  part.a = 9;
  deepEqual(whole, { in: { a: 1, b: 2n }, v: [1, 2] });
  const to = zero(Outer);
  const { in: inside } = to;
  copy(Outer, to, whole);
  whole.in.a = 9;
  whole.v[0] = 9;
  deepEqual(to, { in: { a: 1, b: 2n }, v: [1, 2] });
  equal(to.in, inside, "copies into what is there");
  const cell = { last: 1n, key: { a: 0, b: 0n } };
  copyMember(Inner, cell, "key", part);
  part.a = 10;
  deepEqual(cell, { last: 1n, key: { a: 9, b: 2n } });
  deepEqual(zero(u64), { value: 0n });
});

/** Any type, with a value of it. */
const typed: fc.Arbitrary<readonly [Type, unknown]> = fc.letrec<{
  typed: readonly [Type, unknown];
}>((tie) => ({
  typed: fc.oneof(
    { maxDepth: 3 },
    fc
      .constantFrom(...scalars)
      .chain((type) =>
        scalarValue(type).map((value) => [type, value] as const),
      ),
    fc.array(tie("typed"), { minLength: 1, maxLength: 5 }).map((parts) => {
      const names = parts.map((_, index) => `f${index}`);
      const at = (index: number): readonly [Type, unknown] =>
        parts[index] ?? [u8, 0];
      return [
        struct(
          "s",
          Object.fromEntries(names.map((name, index) => [name, at(index)[0]])),
        ),
        Object.fromEntries(names.map((name, index) => [name, at(index)[1]])),
      ] as const;
    }),
    fc
      .tuple(tie("typed"), fc.integer({ min: 1, max: 4 }))
      .map(
        ([[type, value], count]) =>
          [
            vector(type, count),
            Array.from({ length: count }, () => value),
          ] as const,
      ),
  ),
})).typed;

function scalarValue(type: ScalarDescription): fc.Arbitrary<unknown> {
  if (type.js === "boolean") return fc.boolean();
  const { low, high } = scalarRange(type);
  const value = fc.oneof(
    fc.bigInt({ min: low, max: high }),
    fc.constantFrom(low, high),
  );
  return type.js === "bigint" ? value : value.map(Number);
}

/** The bytes by the definition: each scalar at its offset, one bit string at a time. */
function naiveBytes(
  type: Type,
  value: unknown,
  bytes: Uint8Array,
  at: number,
): void {
  if (type.kind === "struct")
    for (const field of type.fields)
      naiveBytes(
        field.type,
        (value as Record<string, unknown>)[field.name],
        bytes,
        at + field.offset,
      );
  else if (type.kind === "vector")
    for (const [index, part] of (value as unknown[]).entries())
      naiveBytes(type.element, part, bytes, at + index * type.element.size);
  else {
    const whole = BigInt.asUintN(8 * type.size, BigInt(value as number));
    const hex = whole.toString(16).padStart(2 * type.size, "0");
    const big = hex.match(/../g) ?? [];
    for (const [index, byte] of (type.order === "network"
      ? big
      : big.reverse()
    ).entries())
      bytes[at + index] = Number.parseInt(byte, 16);
  }
}

test("encode is the definition, decode inverts it, clone shares nothing", () => {
  fc.assert(
    fc.property(typed, ([type, value]) => {
      const codec = codecOf(type);
      const bytes = new Uint8Array(type.size + 4).fill(0);
      codec.encode(bytes, 2, value);
      const want = new Uint8Array(type.size + 4);
      naiveBytes(type, value, want, 2);
      deepEqual(bytes, want);
      deepEqual(codec.decode(bytes, 2), value);
      const clone = codec.clone(value);
      deepEqual(clone, value);
      if (typeof value === "object") notEqual(clone, value);
      const target = codec.zero();
      if (typeof value !== "object") return;
      codec.assign(target, value);
      deepEqual(target, value);
    }),
    { seed, numRuns: 500 },
  );
});

test("a value that is not of its type is refused", () => {
  const Flow = struct("flow", { port: u32, on: bool, list: vector(be16, 2) });
  const good = { port: 1, on: true, list: [1, 2] };
  const wrong: readonly (readonly [Type, unknown])[] = [
    [u8, 256],
    [u8, -1],
    [u8, 0.5],
    [u8, Number.NaN],
    [u8, 1n],
    [i8, 128],
    [i32, 2 ** 31],
    [u32, 2 ** 32],
    [u64, 1],
    [u64, 1n << 64n],
    [i64, 1n << 63n],
    [mac, 1n << 48n],
    [bool, 1],
    [Flow, undefined],
    [Flow, { ...good, port: undefined }],
    [Flow, { ...good, list: [1] }],
    [Flow, { ...good, list: [1, 65_536] }],
  ];
  for (const [type, value] of wrong)
    for (const run of [
      () => codecOf(type).clone(value),
      () => codecOf(type).encode(new Uint8Array(64), 0, value),
    ])
      throws(
        run,
        (error) => error instanceof InputError && /is no /.test(error.message),
      );
});

const Key = struct("key", { source: be32, port: be16, protocol: u8 });

test("the hash has fixed values", () => {
  // By the definition in bigints; the last two were made by C.
  // prettier-ignore
  const cases: readonly (readonly [number, number])[] = [
    [hash(u32, 0, 0), 0],
    [hash(u32, 1, 0), naiveHash([1], 0)],
    [hash(u32, 0, 1), naiveHash([0], 1)],
    [hash(u32, 0xdead_beef, 7), naiveHash([0xdeadbeef], 7)],
    [hash(u8, 0xff, 1), naiveHash([0xff], 1)],
    [hash(be16, 443, 2), naiveHash([0xbb01], 2)],
    [hash(u64, 0x1122_3344_5566_7788n, 3), naiveHash([0x55667788, 0x11223344], 3)],
    [hash(mac, mac("01:02:03:04:05:06"), 4), naiveHash([0x04030201, 0x0605], 4)],
    [hash(Key, { source: ipv4("10.0.0.1"), port: 80, protocol: 6 }, 1), naiveHash([0x0100000a, 0x00065000], 1)],
  ];
  for (const [have, want] of cases) equal(have, want);
  equal(hash(u32, 1, 0).toString(16), "f281be04");
  equal(
    hash(Key, { source: ipv4("10.0.0.1"), port: 80, protocol: 6 }, 1).toString(
      16,
    ),
    "d8912f43",
  );
  equal(
    toHex(bytesOf(Key, { source: 1, port: 80, protocol: 6 })),
    "0000000100500600",
  );
});

function naiveHash(words: readonly number[], seed: number): number {
  const m = 1n << 32n;
  let h = BigInt(seed);
  for (const word of words) {
    h = ((h ^ BigInt(word)) * 0x9e3779b1n) % m;
    h ^= h >> 15n;
  }
  h = (h * 0x85ebca6bn) % m;
  return Number(h ^ (h >> 13n));
}
