/**
 * Scalar types: `u8 … i64`, `be16 be32 be64`, `mac`, `bool`.
 *
 * Each name is a value and a type. As a value it is three things in one: the
 * description that layouts are made of (size, alignment, byte order in memory), a
 * function that narrows (`u32(e)` is e modulo 2^32), and the maker of constants
 * (`u32(65_536)`, `mac("02:00:00:00:00:01")`). As a type it is `number` up to 32
 * bits, `bigint` above, `boolean` for `bool`.
 *
 * be* and mac values are numbers as people write them (port 443 is 443); only in
 * memory they stand in network order. A mac is six bytes aligned to one.
 */
import { InputError } from "../../base/index.ts";
import { parseIpv4, parseMac } from "../../packet/index.ts";

export type ScalarName =
  | "u8"
  | "u16"
  | "u32"
  | "u64"
  | "i8"
  | "i16"
  | "i32"
  | "i64"
  | "be16"
  | "be32"
  | "be64"
  | "mac"
  | "bool";

/** What the compiler and the memory layouts know of a scalar. */
export interface ScalarDescription {
  readonly kind: "scalar";
  readonly name: ScalarName;
  /** Bytes in memory. */
  readonly size: number;
  /** Alignment in bytes. */
  readonly align: number;
  /** Bits of the value: 8 × size, and 1 for `bool`. */
  readonly bits: number;
  readonly signed: boolean;
  readonly order: "native" | "network";
  /** What a value is in JavaScript. */
  readonly js: "number" | "bigint" | "boolean";
}

/** A scalar whose values are `Value` in JavaScript. */
export interface ScalarType<
  Value extends number | bigint | boolean,
> extends ScalarDescription {
  /** 0, 0n or false. */
  readonly zero: Value;
}

/** Up to 32 bits; called, it narrows an integer to the type's width. */
export interface NumberType extends ScalarType<number> {
  (value: number | bigint): number;
}

/** 64 bits; called, it narrows an integer to the type's width. */
export interface BigintType extends ScalarType<bigint> {
  (value: number | bigint): bigint;
}

/** 48 bits in network order; called, it makes a constant from text. */
export interface MacType extends ScalarType<bigint> {
  (value: string | number | bigint): bigint;
}

export interface BoolType extends ScalarType<boolean> {
  (value: boolean): boolean;
}

/** Unsigned, 8 bits. `u8(e)` is e modulo 2^8. */
export const u8: NumberType = number("u8", 8, (value) => value & 0xff);
export type u8 = number;
/** Unsigned, 16 bits. `u16(e)` is e modulo 2^16. */
export const u16: NumberType = number("u16", 16, (value) => value & 0xffff);
export type u16 = number;
/** Unsigned, 32 bits. `u32(e)` is e modulo 2^32. */
export const u32: NumberType = number("u32", 32, (value) => value >>> 0);
export type u32 = number;
/** Signed, 8 bits, two's complement. */
export const i8: NumberType = number("i8", 8, (value) => (value << 24) >> 24);
export type i8 = number;
/** Signed, 16 bits, two's complement. */
export const i16: NumberType = number(
  "i16",
  16,
  (value) => (value << 16) >> 16,
);
export type i16 = number;
/** Signed, 32 bits, two's complement. */
export const i32: NumberType = number("i32", 32, (value) => value | 0);
export type i32 = number;
/** Unsigned, 16 bits, in network order in memory. */
export const be16: NumberType = number("be16", 16, (value) => value & 0xffff);
export type be16 = number;
/** Unsigned, 32 bits, in network order in memory: an IPv4 address. */
export const be32: NumberType = number("be32", 32, (value) => value >>> 0);
export type be32 = number;

/** Unsigned, 64 bits. Inside `u64(…)`, + − * << & | ^ are modulo 2^64. */
export const u64: BigintType = bigint("u64", (value) =>
  BigInt.asUintN(64, value),
);
export type u64 = bigint;
/** Signed, 64 bits. Inside `i64(…)`, + − * << & | ^ are modulo 2^64. */
export const i64: BigintType = bigint("i64", (value) =>
  BigInt.asIntN(64, value),
);
export type i64 = bigint;
/** Unsigned, 64 bits, in network order in memory: half an IPv6 address. */
export const be64: BigintType = bigint("be64", (value) =>
  BigInt.asUintN(64, value),
);
export type be64 = bigint;

/** An Ethernet address: `mac("02:00:00:00:00:01")`, or the low 48 bits of a number. */
export const mac: MacType = describe(
  (value: string | number | bigint): bigint =>
    typeof value === "string"
      ? parseMac(value)
      : BigInt.asUintN(48, BigInt(value)),
  // prettier-ignore
  { kind: "scalar", name: "mac", size: 6, align: 1, bits: 48, signed: false, order: "network", js: "bigint", zero: 0n },
);
export type mac = bigint;

/** One byte, 0 or 1. */
export const bool: BoolType = describe(
  (value: boolean): boolean => value,
  // prettier-ignore
  { kind: "scalar", name: "bool", size: 1, align: 1, bits: 1, signed: false, order: "native", js: "boolean", zero: false },
);
export type bool = boolean;

/** An IPv4 address as a `be32`: `ipv4("10.0.0.1")`. */
export function ipv4(address: string): number {
  return Number(parseIpv4(address));
}

function number(
  name: ScalarName,
  bits: number,
  narrow: (value: number) => number,
): NumberType {
  const low = (value: number | bigint): number =>
    typeof value === "bigint"
      ? narrow(Number(BigInt.asUintN(32, value)))
      : narrow(value);
  return describe(low, {
    kind: "scalar",
    name,
    size: bits / 8,
    align: bits / 8,
    bits,
    signed: name.startsWith("i"),
    order: name.startsWith("be") ? "network" : "native",
    js: "number",
    zero: 0,
  });
}

function bigint(
  name: ScalarName,
  narrow: (value: bigint) => bigint,
): BigintType {
  const whole = (value: number | bigint): bigint =>
    narrow(typeof value === "bigint" ? value : BigInt(value));
  return describe(whole, {
    kind: "scalar",
    name,
    size: 8,
    align: 8,
    bits: 64,
    signed: name.startsWith("i"),
    order: name.startsWith("be") ? "network" : "native",
    js: "bigint",
    zero: 0n,
  });
}

function describe<Narrow extends object, Rest extends ScalarDescription>(
  narrow: Narrow,
  { name, ...rest }: Rest,
): Narrow & Rest {
  Object.defineProperty(narrow, "name", { value: name, enumerable: true });
  return Object.freeze(Object.assign(narrow, rest)) as Narrow & Rest;
}

/** The least and the greatest value of a scalar, as integers. */
export function scalarRange(type: ScalarDescription): {
  readonly low: bigint;
  readonly high: bigint;
} {
  const bits = BigInt(type.bits);
  return type.signed
    ? { low: -(1n << (bits - 1n)), high: (1n << (bits - 1n)) - 1n }
    : { low: 0n, high: (1n << bits) - 1n };
}

/** A value of the wrong kind or size for its type. */
export function misfit(type: { readonly name: string }, value: unknown): never {
  const text = typeof value === "bigint" ? `${value}n` : String(value);
  throw new InputError(`${text} is no ${type.name}`, {
    code: "nf-value",
    fix: `narrow it first, as in ${type.name}(…)`,
  });
}
