/**
 * Elements by an index that is known at run time only.
 *
 * The checker proved that the index is in range; the kernel's verifier has to see
 * it too, so an index whose bits alone do not show it is compared once more.
 * Constant arrays stand in `.rodata`; a vector that lives in values is written to
 * the stack for the access.
 */
import type { ValueId } from "../../ir/index.ts";
import type { Type } from "../library/struct.ts";
import { branchOn } from "./compare.ts";
import type { Lowering } from "./lowering.ts";
import {
  addressOf,
  loadScalar,
  partsOf,
  sizeOf,
  storeValue,
} from "./memory.ts";
import { partOf, setField } from "./objects.ts";
import { constantWord } from "./scalars.ts";
import { buffer } from "./slots.ts";
import type { Reference, Value } from "./value.ts";
import { bitsOf } from "./word-bits.ts";

/** The distance of an element, which the verifier sees is below `count` × `size`. */
function distance(
  lowering: Lowering,
  index: Value,
  count: number,
  size: number,
): ValueId {
  const { cursor, writer } = lowering;
  const word = cursor.word(index);
  if (2 ** bitsOf(word, (value) => writer.definition(value)) > count)
    lowering.abort(branchOn(cursor, "jlt", word, cursor.constant(count)));
  if (size === 1) return word;
  const power = Math.log2(size);
  return Number.isInteger(power)
    ? writer.binary(cursor.block, "lsh", word, cursor.constant(power))
    : writer.binary(cursor.block, "mul", word, cursor.constant(size));
}

/** The element of a vector in memory. */
export function elementReference(
  lowering: Lowering,
  vector: Reference,
  index: Value,
): Reference {
  const { cursor, writer } = lowering;
  const { type } = vector;
  if (type.kind !== "vector") return vector;
  const { element, count } = type;
  const by = distance(lowering, index, count, element.size);
  const pointer = writer.binary(cursor.block, "add", vector.pointer, by);
  return { ...vector, type: element, pointer };
}

export function readElement(
  lowering: Lowering,
  vector: Reference,
  index: Value,
): Value {
  const element = elementReference(lowering, vector, index);
  return partOf(lowering.cursor, element, element.type, 0);
}

export function writeElement(
  lowering: Lowering,
  vector: Reference,
  index: Value,
  value: Value,
): void {
  const element = elementReference(lowering, vector, index);
  storeValue(lowering.cursor, addressOf(element), element.type, value);
}

/** The element of a vector that lives in values: scalars only. */
export function readLocalElement(
  lowering: Lowering,
  vector: Value,
  type: Type & { readonly kind: "vector" },
  index: Value,
): Value | undefined {
  const { cursor, writer } = lowering;
  const { element, count } = type;
  if (element.kind !== "scalar") return undefined;
  const by = distance(lowering, index, count, element.size);
  const start = onStack(lowering, vector, type);
  const pointer = writer.binary(cursor.block, "add", start, by);
  const address = { pointer, offset: 0, memory: "stack" };
  const value = loadScalar(cursor, address, element);
  forgetStack(lowering);
  return value;
}

export function writeLocalElement(
  lowering: Lowering,
  vector: Value & { readonly kind: "object" },
  type: Type & { readonly kind: "vector" },
  given: { readonly index: Value; readonly value: Value },
): boolean {
  const { cursor, writer } = lowering;
  const { element, count } = type;
  if (element.kind !== "scalar") return false;
  const by = distance(lowering, given.index, count, element.size);
  const start = onStack(lowering, vector, type);
  const pointer = writer.binary(cursor.block, "add", start, by);
  const memory = "stack";
  storeValue(cursor, { pointer, offset: 0, memory }, element, given.value);
  forgetStack(lowering);
  for (let at = 0; at < count; at++) {
    const offset = at * element.size;
    const read = loadScalar(
      cursor,
      { pointer: start, offset, memory },
      element,
    );
    setField(cursor, vector.object, String(at), read);
  }
  forgetStack(lowering);
  // What the buffer holds is no longer what was put there.
  const slot = lowering.slots.get(`value:${type.size}`);
  if (slot !== undefined) cursor.env.slots.delete(slot);
  return true;
}

function onStack(lowering: Lowering, vector: Value, type: Type): ValueId {
  const parts = partsOf(lowering.cursor, vector, type);
  return buffer(lowering, "value", type.size, parts);
}

function forgetStack({ cursor }: Lowering): void {
  for (const [key, load] of cursor.env.loads)
    if (load.memory === "stack") cursor.env.loads.delete(key);
}

/** An element of an array of constants. */
export function readTable(
  lowering: Lowering,
  values: readonly unknown[],
  index: Value,
): Value | undefined {
  const words = values.map(constantWord);
  const known = words.filter((word) => word !== undefined);
  const [first] = values;
  const js = typeof first;
  if (
    known.length === 0 ||
    known.length < words.length ||
    (js !== "number" && js !== "bigint" && js !== "boolean")
  )
    return undefined;
  const low = known.reduce((a, b) => (a < b ? a : b));
  const high = known.reduce((a, b) => (a > b ? a : b));
  const bytes = [1, 2, 4].find((size) => high < 2n ** BigInt(8 * size)) ?? 8;
  const size = low < 0n ? 8 : sizeOf(bytes);
  const { cursor, writer, program } = lowering;
  const by = distance(lowering, index, values.length, size);
  const offset = program.table(known, size);
  const start = writer.emit(cursor.block, {
    kind: "map-value",
    map: ".rodata",
    offset,
  });
  const pointer = writer.binary(cursor.block, "add", start, by);
  const word = writer.load(cursor.block, pointer, 0, size);
  return { kind: "scalar", js, word, low, high };
}
