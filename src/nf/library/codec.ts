/**
 * Values of a type in JavaScript and as bytes in memory (BPF's, little-endian).
 *
 *   decode(encode(v)) = v; encode writes zeros into padding
 *   clone(v) shares nothing with v
 *   assign(to, v) makes `to` equal v, field by field; what else `to` has stays
 *
 * A value that is not of its type (a fraction, 2^32 for a u32) is an InputError
 * wherever it is cloned, assigned or encoded: the checker would refuse the
 * network function, and a unit test should not be kinder.
 *
 * A codec is a tree of closures, built once per type.
 */
import { unreachable } from "../../base/index.ts";
import { misfit, type ScalarDescription } from "./scalar.ts";
import type { StructDescription, Type, VectorDescription } from "./struct.ts";

export interface Codec {
  readonly size: number;
  zero(): unknown;
  clone(value: unknown): unknown;
  /** Of structs and vectors only: scalars have no inside. */
  assign(to: unknown, value: unknown): void;
  encode(bytes: Uint8Array, at: number, value: unknown): void;
  decode(bytes: Uint8Array, at: number): unknown;
}

const known = new WeakMap<Type, Codec>();

export function codecOf(type: Type): Codec {
  let codec = known.get(type);
  if (codec === undefined) {
    codec = build(type);
    known.set(type, codec);
  }
  return codec;
}

/** What a map keeps: a scalar in an object of one field `value`. */
export function cellCodecOf(type: Type): Codec {
  return type.kind === "scalar" ? boxed(codecOf(type)) : codecOf(type);
}

function build(type: Type): Codec {
  switch (type.kind) {
    case "scalar":
      return scalarCodec(type);
    case "struct":
      return structCodec(type);
    case "vector":
      return vectorCodec(type);
    default:
      return unreachable(type);
  }
}

type Holder = Record<string, unknown>;

function boxed(inner: Codec): Codec {
  return {
    size: inner.size,
    zero: () => ({ value: inner.zero() }),
    clone: (value) => ({ value: inner.clone(value) }),
    assign: (to, value) => {
      (to as Holder)["value"] = inner.clone(value);
    },
    encode: (bytes, at, cell) =>
      inner.encode(bytes, at, (cell as Holder)["value"]),
    decode: (bytes, at) => ({ value: inner.decode(bytes, at) }),
  };
}

function structCodec(type: StructDescription): Codec {
  const { size } = type;
  const parts = type.fields.map(({ name, type, offset }) => ({
    name,
    offset,
    codec: codecOf(type),
    inside: type.kind !== "scalar",
  }));
  return {
    size,
    zero() {
      const value: Holder = {};
      for (const { name, codec } of parts) value[name] = codec.zero();
      return value;
    },
    clone(value) {
      const copy: Holder = {};
      for (const { name, codec } of parts)
        copy[name] = codec.clone(member(type, value, name));
      return copy;
    },
    assign(to, value) {
      for (const { name, codec, inside } of parts) {
        const part = member(type, value, name);
        if (inside) codec.assign((to as Holder)[name], part);
        else (to as Holder)[name] = codec.clone(part);
      }
    },
    encode(bytes, at, value) {
      for (const { name, codec, offset } of parts)
        codec.encode(bytes, at + offset, member(type, value, name));
    },
    decode(bytes, at) {
      const value: Holder = {};
      for (const { name, codec, offset } of parts)
        value[name] = codec.decode(bytes, at + offset);
      return value;
    },
  };
}

function member(
  type: StructDescription,
  value: unknown,
  name: string,
): unknown {
  if (typeof value !== "object" || value === null) return misfit(type, value);
  return (value as Holder)[name];
}

function vectorCodec(type: VectorDescription): Codec {
  const element = codecOf(type.element);
  const { size, count } = type;
  const inside = type.element.kind !== "scalar";
  const list = (value: unknown): readonly unknown[] =>
    Array.isArray(value) && value.length === count
      ? (value as readonly unknown[])
      : misfit(type, value);
  return {
    size,
    zero: () => Array.from({ length: count }, () => element.zero()),
    clone: (value) => list(value).map((part) => element.clone(part)),
    assign(to, value) {
      const from = list(value);
      const into = to as unknown[];
      for (let i = 0; i < count; i++)
        if (inside) element.assign(into[i], from[i]);
        else into[i] = element.clone(from[i]);
    },
    encode(bytes, at, value) {
      const from = list(value);
      for (let i = 0; i < count; i++)
        element.encode(bytes, at + i * element.size, from[i]);
    },
    decode: (bytes, at) =>
      Array.from({ length: count }, (_, i) =>
        element.decode(bytes, at + i * element.size),
      ),
  };
}

function scalarCodec(type: ScalarDescription): Codec {
  if (type.name === "mac") return macCodec(type);
  if (type.js === "boolean") return boolCodec(type);
  return type.js === "bigint" ? bigintCodec(type) : numberCodec(type);
}

function numberCodec(type: ScalarDescription): Codec {
  const { size, bits, signed, order } = type;
  const shift = 32 - bits;
  const check = (value: unknown): number => {
    if (typeof value !== "number") return misfit(type, value);
    const narrow = signed
      ? (value << shift) >> shift
      : (value << shift) >>> shift;
    return narrow === value ? value : misfit(type, value);
  };
  // Where the byte of weight 256^i stands.
  const place = (i: number): number => (order === "network" ? size - 1 - i : i);
  const [p0, p1, p2, p3] = [place(0), place(1), place(2), place(3)];
  return {
    size,
    zero: () => 0,
    clone: check,
    assign: () => undefined,
    encode(bytes, at, value) {
      const number = check(value);
      bytes[at + p0] = number;
      if (size === 1) return;
      bytes[at + p1] = number >>> 8;
      if (size === 2) return;
      bytes[at + p2] = number >>> 16;
      bytes[at + p3] = number >>> 24;
    },
    decode(bytes, at) {
      let number = bytes[at + p0] ?? 0;
      if (size > 1) number |= (bytes[at + p1] ?? 0) << 8;
      if (size > 2)
        number |= ((bytes[at + p2] ?? 0) << 16) | ((bytes[at + p3] ?? 0) << 24);
      return signed ? (number << shift) >> shift : number >>> 0;
    },
  };
}

function bigintCodec(type: ScalarDescription): Codec {
  const { signed, order } = type;
  const network = order === "network";
  const check = (value: unknown): bigint => {
    if (typeof value !== "bigint") return misfit(type, value);
    const narrow = signed
      ? BigInt.asIntN(64, value)
      : BigInt.asUintN(64, value);
    return narrow === value ? value : misfit(type, value);
  };
  const half = (bytes: Uint8Array, at: number, word: number): void => {
    for (let i = 0; i < 4; i++)
      bytes[at + (network ? 3 - i : i)] = word >>> (8 * i);
  };
  const word = (bytes: Uint8Array, at: number): bigint => {
    let value = 0;
    for (let i = 3; i >= 0; i--)
      value = value * 256 + (bytes[at + (network ? 3 - i : i)] ?? 0);
    return BigInt(value);
  };
  const [low, high] = network ? [4, 0] : [0, 4];
  return {
    size: 8,
    zero: () => 0n,
    clone: check,
    assign: () => undefined,
    encode(bytes, at, value) {
      const whole = BigInt.asUintN(64, check(value));
      half(bytes, at + low, Number(whole & 0xffff_ffffn));
      half(bytes, at + high, Number(whole >> 32n));
    },
    decode(bytes, at) {
      const whole = (word(bytes, at + high) << 32n) | word(bytes, at + low);
      return signed ? BigInt.asIntN(64, whole) : whole;
    },
  };
}

function macCodec(type: ScalarDescription): Codec {
  const check = (value: unknown): bigint =>
    typeof value === "bigint" && BigInt.asUintN(48, value) === value
      ? value
      : misfit(type, value);
  return {
    size: 6,
    zero: () => 0n,
    clone: check,
    assign: () => undefined,
    encode(bytes, at, value) {
      let rest = Number(check(value));
      for (let i = 5; i >= 0; i--) {
        bytes[at + i] = rest;
        rest = Math.floor(rest / 256);
      }
    },
    decode(bytes, at) {
      let value = 0;
      for (let i = 0; i < 6; i++) value = value * 256 + (bytes[at + i] ?? 0);
      return BigInt(value);
    },
  };
}

function boolCodec(type: ScalarDescription): Codec {
  const check = (value: unknown): boolean =>
    typeof value === "boolean" ? value : misfit(type, value);
  return {
    size: 1,
    zero: () => false,
    clone: check,
    assign: () => undefined,
    encode(bytes, at, value) {
      bytes[at] = check(value) ? 1 : 0;
    },
    decode: (bytes, at) => bytes[at] !== 0,
  };
}
