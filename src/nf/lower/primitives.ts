/**
 * What the compiler knows by name: the library's functions that have no body to
 * compile, and JavaScript's own.
 */
import type { ValueId } from "../../ir/index.ts";
import type { ts } from "../front/typescript-api.ts";
import type { Type } from "../library/struct.ts";
import { readClock } from "./clock.ts";
import { compare } from "./compare.ts";
import type { Outcome } from "./join.ts";
import { type Lowering, cannotLower } from "./lowering.ts";
import { assignMember } from "./members.ts";
import { type Part, coalesce, partsOf, wordOf } from "./memory.ts";
import { narrow } from "./narrowing.ts";
import { copied, fieldsOf, getField, zeroOf } from "./objects.ts";
import { operate } from "./operators.ts";
import { scalarRange } from "./scalars.ts";
import {
  type Scalar,
  type Value,
  constantValue,
  undefinedValue,
} from "./value.ts";

const redirectHelper = 23;
const redirectMapHelper = 51;
/** BPF_F_BROADCAST | BPF_F_EXCLUDE_INGRESS. */
const toAllButIngress = 8 | 16;

/** Undefined: the name is not known here. */
export function primitive(
  lowering: Lowering,
  node: ts.CallExpression,
  name: string,
): readonly Outcome[] | undefined {
  const { cursor } = lowering;
  const one = (value: Value): readonly Outcome[] => [
    { value, path: cursor.path },
  ];
  const argument = (index: number): Value => {
    const given = node.arguments[index];
    return given === undefined ? undefinedValue : lowering.value(given);
  };
  switch (name) {
    case "u8":
    case "u16":
    case "u32":
    case "u64":
    case "i8":
    case "i16":
    case "i32":
    case "i64":
    case "be16":
    case "be32":
    case "be64":
    case "mac":
      return one(narrow(cursor, present(argument(0)), narrowings[name]));
    case "bool": {
      const [given] = node.arguments;
      return given === undefined ? undefined : lowering.outcomes(given);
    }
    case "min":
    case "max":
    case "Math.min":
    case "Math.max":
      return lesser(lowering, name.endsWith("min"), [argument(0), argument(1)]);
    case "div":
      return one(operate(cursor, "/", argument(0), argument(1)));
    case "mul32":
      return one(product32(lowering, argument(0), argument(1)));
    case "Math.imul": {
      const product = product32(lowering, argument(0), argument(1));
      return one(narrow(cursor, product, signed32));
    }
    case "Math.trunc":
      return one(argument(0));
    case "Number":
      return one(relabelled(lowering, argument(0), "number"));
    case "BigInt":
      return one(relabelled(lowering, argument(0), "bigint"));
    case "BigInt.asUintN":
    case "BigInt.asIntN": {
      const bits = argument(0);
      if (bits.kind !== "constant" || typeof bits.value !== "number")
        return undefined;
      const signed = name === "BigInt.asIntN";
      const to = { bits: bits.value, signed, js: "bigint" } as const;
      return one(narrow(cursor, argument(1), to));
    }
    case "now":
      return one(readClock(lowering));
    case "hash": {
      const type = typeOf(argument(0), node);
      return one(hash(lowering, type, [argument(1), argument(2)]));
    }
    case "zero": {
      const type = typeOf(argument(0), node);
      return one(zeroCell(lowering, type));
    }
    case "copy":
      copy(lowering, node, typeOf(argument(0), node), [
        argument(1),
        argument(2),
      ]);
      return one(undefinedValue);
    case "copyMember": {
      const type = typeOf(argument(0), node);
      const owner = argument(1);
      const member = argument(2);
      const value = copied(cursor, argument(3), type);
      if (member.kind !== "constant") return undefined;
      const name = String(member.value);
      assignMember(lowering, node, owner, { name, value });
      return one(undefinedValue);
    }
    case "out":
      return one(out(lowering, argument(0)));
    case "redirect":
      return one(redirect(lowering, argument(0)));
    default:
      return undefined;
  }
}

// prettier-ignore
const narrowings = {
  u8:   { bits: 8,  signed: false, js: "number" },
  u16:  { bits: 16, signed: false, js: "number" },
  u32:  { bits: 32, signed: false, js: "number" },
  u64:  { bits: 64, signed: false, js: "bigint" },
  i8:   { bits: 8,  signed: true,  js: "number" },
  i16:  { bits: 16, signed: true,  js: "number" },
  i32:  { bits: 32, signed: true,  js: "number" },
  i64:  { bits: 64, signed: true,  js: "bigint" },
  be16: { bits: 16, signed: false, js: "number" },
  be32: { bits: 32, signed: false, js: "number" },
  be64: { bits: 64, signed: false, js: "bigint" },
  mac:  { bits: 48, signed: false, js: "bigint" },
} as const;
const signed32 = { bits: 32, signed: true, js: "number" } as const;

function present(value: Value): Value {
  return value.kind === "optional" ? value.payload : value;
}

function typeOf(value: Value, node: ts.Node): Type {
  const type = value.kind === "constant" ? value.value : undefined;
  if (isType(type)) return type;
  throw cannotLower(node, "a type that is known before any packet is wanted");
}

export function isType(value: unknown): value is Type {
  return (
    (typeof value === "object" || typeof value === "function") &&
    value !== null &&
    "kind" in value &&
    (value.kind === "scalar" ||
      value.kind === "struct" ||
      value.kind === "vector")
  );
}

function lesser(
  { cursor }: Lowering,
  isMin: boolean,
  [left, right]: readonly [Value, Value],
): readonly Outcome[] {
  const { yes, no } = compare(cursor, isMin ? "<" : ">", left, right);
  const [a, b] = [scalarRange(left), scalarRange(right)];
  // The range of what is answered, whichever it is.
  const pick = (x: bigint, y: bigint): bigint => (isMin === x < y ? x : y);
  const low = pick(a.low, b.low);
  const high = pick(a.high, b.high);
  const value = cursor.join([
    ...yes.map((path) => ({ path, value: left })),
    ...no.map((path) => ({ path, value: right })),
  ]);
  return [
    {
      path: cursor.path,
      value: value.kind === "scalar" ? { ...value, low, high } : value,
    },
  ];
}

function product32(lowering: Lowering, left: Value, right: Value): Value {
  const { cursor, writer } = lowering;
  if (left.kind === "constant" && right.kind === "constant") {
    const product = Math.imul(Number(left.value), Number(right.value)) >>> 0;
    return constantValue(product);
  }
  const [a, b] = [cursor.word(left), cursor.word(right)];
  const word = writer.binary(cursor.block, "mul", a, b, 32);
  return { kind: "scalar", js: "number", word, low: 0n, high: 2n ** 32n - 1n };
}

function relabelled(
  { cursor }: Lowering,
  value: Value,
  js: "number" | "bigint",
): Value {
  if (value.kind === "constant")
    return constantValue(
      js === "number" ? Number(value.value) : BigInt(Number(value.value)),
    );
  return { kind: "scalar", js, word: cursor.word(value), ...ranged(value) };
}

function ranged(value: Value): { low: bigint; high: bigint } {
  const { low, high } = scalarRange(value);
  return { low, high };
}

/** A fresh cell; of a scalar `{ value: 0 }`. */
function zeroCell(lowering: Lowering, type: Type): Value {
  const { cursor } = lowering;
  if (type.kind !== "scalar") return zeroOf(cursor, type);
  const object = cursor.numbers.next++;
  const fields = new Map([["value", zeroOf(cursor, type)]]);
  cursor.env.heap.set(object, { type: undefined, fields });
  return { kind: "object", object };
}

function copy(
  lowering: Lowering,
  node: ts.Node,
  type: Type,
  [to, from]: readonly [Value, Value],
): void {
  const { cursor } = lowering;
  if (type.kind === "scalar") {
    const value = copied(cursor, from, type);
    assignMember(lowering, node, to, { name: "value", value });
    return;
  }
  for (const [name, each] of fieldsOf(type)) {
    const value = copied(cursor, getField(cursor, present(from), name), each);
    assignMember(lowering, node, to, { name, value });
  }
}

/** See src/nf/library/hash.ts: the same number over the bytes in memory. */
function hash(
  lowering: Lowering,
  type: Type,
  [value, seed]: readonly [Value, Value],
): Scalar {
  const { cursor, writer } = lowering;
  const { block } = cursor;
  const words = littleWords(
    lowering,
    partsOf(cursor, present(value), type),
    type.size,
  );
  const binary = (
    op: "xor" | "mul" | "rsh",
    left: ValueId,
    right: ValueId,
  ): ValueId => writer.binary(block, op, left, right, 32);
  const constant = (number: number): ValueId => cursor.constant(number);
  let h = writer.unary(block, "zext32", cursor.word(seed));
  for (const word of words) {
    h = binary("mul", binary("xor", h, word), constant(0x9e3779b1));
    h = binary("xor", h, binary("rsh", h, constant(15)));
  }
  h = binary("mul", h, constant(0x85ebca6b));
  h = binary("xor", h, binary("rsh", h, constant(13)));
  return {
    kind: "scalar",
    js: "number",
    word: h,
    low: 0n,
    high: 2n ** 32n - 1n,
  };
}

/** The bytes as words of 32 bits, the last filled up with zeros. */
function littleWords(
  lowering: Lowering,
  parts: readonly Part[],
  size: number,
): ValueId[] {
  const { cursor, writer } = lowering;
  const { block } = cursor;
  const words: ValueId[] = [];
  for (let at = 0; at < size; at += 4) {
    let known = 0n;
    let whole: ValueId | undefined;
    for (const part of coalesce(parts, () => false)) {
      const { offset } = part;
      if (offset + part.size <= at || offset >= at + 4) continue;
      if (typeof part.word === "bigint") {
        const shifted = BigInt(8 * (offset - at));
        const placed =
          shifted >= 0n ? part.word << shifted : part.word >> -shifted;
        known |= BigInt.asUintN(32, placed);
        continue;
      }
      let word = wordOf(cursor, part);
      if (part.size < 4)
        word = writer.unary(block, part.size === 1 ? "zext8" : "zext16", word);
      const by = 8 * (offset - at);
      if (by > 0) word = writer.binary(block, "lsh", word, cursor.constant(by));
      if (by < 0)
        word = writer.binary(block, "rsh", word, cursor.constant(-by));
      whole =
        whole === undefined ? word : writer.binary(block, "or", whole, word);
    }
    if (known !== 0n || whole === undefined) {
      const constant = cursor.constant(known);
      whole =
        whole === undefined
          ? constant
          : writer.binary(block, "or", whole, constant);
    }
    words.push(whole);
  }
  return words;
}

/** Through the device map `ports`: a port that is none of them gives `aborted`. */
export function out(lowering: Lowering, port: Value): Value {
  const { cursor } = lowering;
  return redirectMap(lowering, cursor.word(port), 0);
}

export function flood(lowering: Lowering): Value {
  return redirectMap(lowering, lowering.cursor.constant(0), toAllButIngress);
}

function redirectMap(
  { cursor, writer }: Lowering,
  key: ValueId,
  flags: number,
): Value {
  const map = writer.emit(cursor.block, { kind: "map", map: "ports" });
  const word = writer.helper(cursor.block, redirectMapHelper, [
    map,
    key,
    cursor.constant(flags),
  ]);
  return { kind: "verdict", word };
}

export function redirect({ cursor, writer }: Lowering, to: Value): Value {
  const word = writer.helper(cursor.block, redirectHelper, [
    cursor.word(to),
    cursor.constant(0),
  ]);
  return { kind: "verdict", word };
}
