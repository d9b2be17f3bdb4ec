/**
 * Structs and vectors that live in values: made by literals and struct types,
 * copied where JavaScript's library copies. Fields are found by name, so that a
 * literal needs no type; a vector's elements are named by their index.
 */
import type { Type } from "../library/struct.ts";
import type { Cursor } from "./lowering.ts";
import { addressOf, fieldValue, loadScalar } from "./memory.ts";
import { type Reference, type Value, constantValue } from "./value.ts";

export function newObject(
  cursor: Cursor,
  fields: ReadonlyMap<string, Value>,
  type?: Type,
): Value {
  const object = cursor.numbers.next++;
  cursor.env.heap.set(object, { type, fields });
  return { kind: "object", object };
}

export function setField(
  cursor: Cursor,
  object: number,
  name: string,
  value: Value,
): void {
  const { heap } = cursor.env;
  const old = heap.get(object);
  const fields = new Map(old?.fields);
  fields.set(name, value);
  heap.set(object, { ...old, type: old?.type, fields });
}

/** A reference's scalar, or the reference to its part. */
export function partOf(
  cursor: Cursor,
  reference: Reference,
  type: Type,
  offset: number,
): Value {
  const part: Reference = {
    kind: "reference",
    type,
    pointer: reference.pointer,
    offset: reference.offset + offset,
    map: reference.map,
  };
  return type.kind === "scalar"
    ? loadScalar(cursor, addressOf(part), type)
    : part;
}

/** A field of a value that has them. */
export function getField(cursor: Cursor, value: Value, name: string): Value {
  if (value.kind !== "reference") return fieldValue(cursor, value, name);
  const { type } = value;
  if (value.boxed === true && name === "value")
    return partOf(cursor, { ...value, offset: value.offset }, type, 0);
  if (type.kind === "vector")
    return partOf(
      cursor,
      value,
      type.element,
      Number(name) * type.element.size,
    );
  const field =
    type.kind === "struct"
      ? type.fields.find((each) => each.name === name)
      : undefined;
  return field === undefined
    ? constantValue(undefined)
    : partOf(cursor, value, field.type, field.offset);
}

/** A value of `type` that shares nothing with `value`. */
export function copied(cursor: Cursor, value: Value, type: Type): Value {
  if (value.kind === "optional") return copied(cursor, value.payload, type);
  if (type.kind === "scalar")
    return value.kind === "reference" ? partOf(cursor, value, type, 0) : value;
  const fields = new Map<string, Value>();
  for (const [name, each] of fieldsOf(type))
    fields.set(name, copied(cursor, getField(cursor, value, name), each));
  return newObject(cursor, fields, type);
}

export function zeroOf(cursor: Cursor, type: Type): Value {
  if (type.kind === "scalar") return constantValue(zeroScalar(type.js));
  const fields = new Map<string, Value>();
  for (const [name, each] of fieldsOf(type))
    fields.set(name, zeroOf(cursor, each));
  return newObject(cursor, fields, type);
}

function zeroScalar(js: "number" | "bigint" | "boolean"): unknown {
  return js === "number" ? 0 : js === "bigint" ? 0n : false;
}

/** Names and types of what a struct or vector has. */
export function fieldsOf(type: Type): readonly (readonly [string, Type])[] {
  switch (type.kind) {
    case "scalar":
      return [];
    case "struct":
      return type.fields.map((field) => [field.name, field.type] as const);
    case "vector":
      return Array.from(
        { length: type.count },
        (_, index) => [String(index), type.element] as const,
      );
  }
}
