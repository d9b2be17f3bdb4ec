/**
 * Values in memory: loads and stores of typed values, and the bytes of a value
 * as parts that are stored at once.
 *
 * A part is a word whose low bytes are the memory's, lowest first: a be16 of 443
 * is the word 0xbb01. Loads that are still true are not repeated; a store makes
 * those forget that may lie where it wrote:
 *
 *   another map, or a map and the packet       never
 *   the same pointer, other bytes              never
 *   the packet, below byte 34, from its start  never from behind the IP header:
 *                                              what is reached through another
 *                                              pointer lies behind it
 *   anything else                              yes
 */
import type { ValueId } from "../../ir/index.ts";
import type { Size } from "../../isa/index.ts";
import type { ScalarDescription } from "../library/scalar.ts";
import type { Type } from "../library/struct.ts";
import type { LoadedWord } from "./environment.ts";
import type { Cursor } from "./lowering.ts";
import { rangeOfType } from "./narrowing.ts";
import { constantWord } from "./scalars.ts";
import { type Value, constantValue } from "./value.ts";
import { bitsOf } from "./word-bits.ts";

export interface Address {
  readonly pointer: ValueId;
  readonly offset: number;
  /** `packet`, or the name of a map. */
  readonly memory: string;
}

export interface Part {
  readonly offset: number;
  readonly size: Size;
  /** A word, or bytes known to the compiler. */
  readonly word: ValueId | bigint;
}

export function loadRaw(cursor: Cursor, at: Address, size: Size): ValueId {
  const { env, writer } = cursor;
  const key = keyOf(at, size);
  const known = env.loads.get(key);
  if (known !== undefined) return known.word;
  const word = writer.load(cursor.block, at.pointer, at.offset, size);
  env.loads.set(key, { ...at, size, word });
  return word;
}

export function storeRaw(
  cursor: Cursor,
  at: Address,
  size: Size,
  word: ValueId,
): void {
  const { env, writer } = cursor;
  writer.store(cursor.block, at.pointer, at.offset, size, word);
  for (const [key, load] of env.loads)
    if (mayLieIn(load, at, size)) env.loads.delete(key);
  // What a load would now answer, unless it would cut something off.
  if (bitsOf(word, (value) => writer.definition(value)) <= 8 * size)
    env.loads.set(keyOf(at, size), { ...at, size, word });
}

/** A call or an atomic operation may have changed the map. */
export function forgetLoads(cursor: Cursor, memory?: string): void {
  for (const [key, load] of cursor.env.loads)
    if (
      memory === undefined ? load.memory !== "packet" : load.memory === memory
    )
      cursor.env.loads.delete(key);
}

function keyOf(at: Address, size: number): string {
  return `${at.pointer}+${at.offset}:${size}`;
}

function mayLieIn(load: LoadedWord, at: Address, size: number): boolean {
  if (load.memory !== at.memory) return false;
  if (load.pointer === at.pointer)
    return (
      load.offset < at.offset + size && at.offset < load.offset + load.size
    );
  // Through another pointer one reaches only what lies behind the IP header.
  return !(
    load.memory === "packet" &&
    ((load.offset + load.size <= 34 && at.offset < 34) ||
      (at.offset + size <= 34 && load.offset < 34))
  );
}

export function loadScalar(
  cursor: Cursor,
  at: Address,
  type: ScalarDescription,
): Value {
  const { writer } = cursor;
  const { js } = type;
  const range = rangeOfType(type);
  if (type.size === 6) {
    const high = loadRaw(cursor, at, 4);
    const low = loadRaw(cursor, { ...at, offset: at.offset + 4 }, 2);
    const word = macWord(cursor, high, low);
    return { kind: "scalar", js, word, ...range };
  }
  const size = sizeOf(type.size);
  if (type.order === "network") {
    const raw = loadRaw(cursor, at, size);
    const word = writer.unary(cursor.block, swapOf(size), raw);
    return { kind: "scalar", js, word, ...range };
  }
  const raw = loadRaw(cursor, at, size);
  if (!type.signed || size === 8)
    return { kind: "scalar", js, word: raw, ...range };
  const extend = size === 1 ? "sext8" : size === 2 ? "sext16" : "sext32";
  const word = writer.unary(cursor.block, extend, raw);
  return { kind: "scalar", js, word, ...range };
}

/** The six bytes of an address as a number, from its first four and last two. */
function macWord(cursor: Cursor, high: ValueId, low: ValueId): ValueId {
  const { writer, block } = cursor;
  const upper = writer.unary(block, "swap32", high);
  const shifted = writer.binary(block, "lsh", upper, cursor.constant(16));
  const lower = writer.unary(block, "swap16", low);
  return writer.binary(block, "or", shifted, lower);
}

/** Undoes `macWord` where the word was made by it. */
function macParts(
  cursor: Cursor,
  word: ValueId,
): readonly [ValueId, ValueId] | undefined {
  const { writer } = cursor;
  const whole = writer.definition(word);
  if (whole?.kind !== "binary" || whole.op !== "or") return undefined;
  const shifted = writer.definition(whole.left);
  const lower = writer.definition(whole.right);
  if (shifted?.kind !== "binary" || shifted.op !== "lsh") return undefined;
  const upper = writer.definition(shifted.left);
  const isMac =
    writer.constantOf(shifted.right) === 16n &&
    upper?.kind === "unary" &&
    upper.op === "swap32" &&
    lower?.kind === "unary" &&
    lower.op === "swap16";
  return isMac ? [upper.value, lower.value] : undefined;
}

export function swapOf(size: 2 | 4 | 8 | 1): "swap16" | "swap32" | "swap64" {
  return size === 8 ? "swap64" : size === 4 ? "swap32" : "swap16";
}

export function sizeOf(bytes: number): Size {
  return bytes === 8 ? 8 : bytes === 4 ? 4 : bytes === 2 ? 2 : 1;
}

/** The parts of a scalar of `type` at an offset. */
export function scalarParts(
  cursor: Cursor,
  value: Value,
  type: ScalarDescription,
  offset: number,
): Part[] {
  const constant =
    value.kind === "constant" ? constantWord(value.value) : undefined;
  if (constant !== undefined) return constantParts(constant, type, offset);
  const { writer } = cursor;
  const word = cursor.word(value);
  if (type.size === 6 && offset % 4 !== 0)
    return unevenParts(cursor, word, offset);
  if (type.size === 6) {
    const known = macParts(cursor, word);
    if (known !== undefined)
      return [
        { offset, size: 4, word: known[0] },
        { offset: offset + 4, size: 2, word: known[1] },
      ];
    const upper = writer.binary(cursor.block, "rsh", word, cursor.constant(16));
    const high = writer.unary(cursor.block, "swap32", upper);
    const low = writer.unary(cursor.block, "swap16", word);
    return [
      { offset, size: 4, word: high },
      { offset: offset + 4, size: 2, word: low },
    ];
  }
  const size = sizeOf(type.size);
  if (type.order === "native" || size === 1) return [{ offset, size, word }];
  const swapped = writer.unary(cursor.block, swapOf(size), word);
  return [{ offset, size, word: swapped }];
}

/** Six bytes that begin at no multiple of four: the stack takes aligned words only. */
function unevenParts(cursor: Cursor, word: ValueId, offset: number): Part[] {
  const { writer, block } = cursor;
  const shifted = writer.binary(block, "lsh", word, cursor.constant(16));
  const bytes = writer.unary(block, "swap64", shifted);
  const parts: Part[] = [];
  for (let at = 0; at < 6;) {
    const size = widest(offset + at, 6 - at);
    const rest =
      at === 0
        ? bytes
        : writer.binary(block, "rsh", bytes, cursor.constant(8 * at));
    parts.push({ offset: offset + at, size, word: rest });
    at += size;
  }
  return parts;
}

function constantParts(
  word: bigint,
  type: ScalarDescription,
  offset: number,
): Part[] {
  const bits = 8 * type.size;
  const low = BigInt.asUintN(bits, word);
  const bytes = type.order === "network" ? reversed(low, type.size) : low;
  if (type.size === 6) {
    const parts: Part[] = [];
    for (let at = 0; at < 6;) {
      const size = widest(offset + at, 6 - at);
      const piece = BigInt.asUintN(8 * size, bytes >> BigInt(8 * at));
      parts.push({ offset: offset + at, size, word: piece });
      at += size;
    }
    return parts;
  }
  return [{ offset, size: sizeOf(type.size), word: bytes }];
}

export function reversed(word: bigint, size: number): bigint {
  let [from, to] = [word, 0n];
  for (let at = 0; at < size; at++) {
    to = (to << 8n) | (from & 0xffn);
    from >>= 8n;
  }
  return to;
}

/** The parts of a value of any type; what no field covers is zero. */
export function partsOf(
  cursor: Cursor,
  value: Value,
  type: Type,
  offset = 0,
): Part[] {
  if (value.kind === "optional")
    return partsOf(cursor, value.payload, type, offset);
  if (type.kind === "scalar") {
    const scalar =
      value.kind === "reference"
        ? loadScalar(cursor, addressOf(value), type)
        : value;
    return scalarParts(cursor, scalar, type, offset);
  }
  if (value.kind === "reference")
    return copiedParts(cursor, addressOf(value), type.size, offset);
  if (type.kind === "vector")
    return Array.from({ length: type.count }, (_, at) =>
      partsOf(
        cursor,
        fieldValue(cursor, value, String(at)),
        type.element,
        offset + at * type.element.size,
      ),
    ).flat();
  const parts: Part[] = [];
  let end = 0;
  for (const field of type.fields) {
    parts.push(...zeroParts(offset + end, offset + field.offset));
    parts.push(
      ...partsOf(
        cursor,
        fieldValue(cursor, value, field.name),
        field.type,
        offset + field.offset,
      ),
    );
    end = field.offset + field.type.size;
  }
  parts.push(...zeroParts(offset + end, offset + type.size));
  return parts;
}

export function addressOf(reference: {
  readonly pointer: ValueId;
  readonly offset: number;
  readonly map: string;
}): Address {
  const { pointer, offset, map } = reference;
  return { pointer, offset, memory: map };
}

/** A field of a struct, vector or plain object that is no memory; absent is 0. */
export function fieldValue(cursor: Cursor, value: Value, name: string): Value {
  if (value.kind === "object")
    return (
      cursor.env.heap.get(value.object)?.fields.get(name) ?? constantValue(0)
    );
  if (
    value.kind === "constant" &&
    typeof value.value === "object" &&
    value.value !== null
  )
    return constantValue(Reflect.get(value.value, name));
  return constantValue(0);
}

/** Bytes of memory, in the greatest words that are aligned in the copy. */
function copiedParts(
  cursor: Cursor,
  from: Address,
  size: number,
  offset: number,
): Part[] {
  const parts: Part[] = [];
  for (let at = 0; at < size;) {
    const step = widest(offset + at, size - at);
    const word = loadRaw(cursor, { ...from, offset: from.offset + at }, step);
    parts.push({ offset: offset + at, size: step, word });
    at += step;
  }
  return parts;
}

function widest(offset: number, room: number): Size {
  for (const size of [8, 4, 2] as const)
    if (offset % size === 0 && room >= size) return size;
  return 1;
}

export function zeroParts(from: number, to: number): Part[] {
  const parts: Part[] = [];
  for (let at = from; at < to;) {
    const size = widest(at, to - at);
    parts.push({ offset: at, size, word: 0n });
    at += size;
  }
  return parts;
}

/**
 * Fewer, wider parts: constants beside each other become one, and zeros behind a
 * word become its upper bytes. `isShort(word, size)`: is the word below 2^(8·size)?
 */
export function coalesce(
  parts: readonly Part[],
  isShort: (word: ValueId, size: number) => boolean,
): Part[] {
  const sorted = [...parts].sort((a, b) => a.offset - b.offset);
  const result: Part[] = [];
  for (let at = 0; at < sorted.length;) {
    const [part, taken] = widestPart(sorted, at, isShort);
    result.push(part);
    at += taken;
  }
  return result;
}

function widestPart(
  parts: readonly Part[],
  at: number,
  isShort: (word: ValueId, size: number) => boolean,
): [Part, number] {
  const first = parts[at];
  if (first === undefined) throw new RangeError("no part");
  const single: [Part, number] = [first, 1];
  if (typeof first.word !== "bigint" && !isShort(first.word, first.size))
    return single;
  for (const size of [8, 4, 2] as const) {
    if (size <= first.size || first.offset % size !== 0) continue;
    let [next, end] = [at + 1, first.offset + first.size];
    let more = 0n;
    for (; end < first.offset + size; next++) {
      const part = parts[next];
      if (part?.offset !== end || typeof part.word !== "bigint") break;
      if (typeof first.word !== "bigint" && part.word !== 0n) break;
      more |= part.word << BigInt(8 * (end - first.offset));
      end += part.size;
    }
    if (end !== first.offset + size) continue;
    const word =
      typeof first.word === "bigint" ? first.word | more : first.word;
    // A constant that fits no immediate needs two slots and a register.
    if (typeof word === "bigint" && size === 8 && !isImmediate(word)) continue;
    return [{ offset: first.offset, size, word }, next - at];
  }
  return single;
}

function isImmediate(word: bigint): boolean {
  const signed = BigInt.asIntN(64, word);
  return signed >= -(2n ** 31n) && signed < 2n ** 31n;
}

/** Stores a whole value of `type`. */
export function storeValue(
  cursor: Cursor,
  at: Address,
  type: Type,
  value: Value,
): void {
  // All loads before the first store: the value may lie where it goes.
  for (const part of merged(cursor, partsOf(cursor, value, type)))
    storeRaw(
      cursor,
      { ...at, offset: at.offset + part.offset },
      part.size,
      wordOf(cursor, part),
    );
}

/** Parts for stores from here: coalesced, as this function's words allow. */
export function merged(cursor: Cursor, parts: readonly Part[]): Part[] {
  const { writer } = cursor;
  return coalesce(
    parts,
    (word, size) =>
      bitsOf(word, (value) => writer.definition(value)) <= 8 * size,
  );
}

export function wordOf(cursor: Cursor, part: Part): ValueId {
  return typeof part.word === "bigint" ? cursor.constant(part.word) : part.word;
}
