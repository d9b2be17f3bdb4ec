/**
 * Words for part of a field: `ipv4.src`, `ipv4.src/24` (its first 24 bits),
 * `ipv4.src[0:8]` (bits 0 … 7), `ipv4.src[31]`. Bit 0 is the most significant.
 * parse inverts print.
 */
import { InputError, nearest, printable } from "../base/index.ts";
import type { FieldBit, FieldName } from "./field.ts";
import { fieldNames, fields, isFieldName } from "./fields.ts";

/** Bits `first … first + count − 1` of a field. */
export interface FieldSpec {
  readonly field: FieldName;
  readonly first: number;
  readonly count: number;
}

export function parseFieldSpec(text: string): FieldSpec {
  const match =
    /^([a-z0-9.-]+)(?:\/(\d{1,3})|\[(\d{1,3})(?::(\d{1,3}))?\])?$/.exec(
      text.trim(),
    );
  const name = match?.[1] ?? "";
  if (match === null || !isFieldName(name)) throw unknownField(text, name);
  const { bits } = fields[name];
  const [, , prefix, from, to] = match;
  let first = 0;
  let end = bits;
  if (prefix !== undefined) end = Number(prefix);
  else if (from !== undefined) {
    first = Number(from);
    end = to === undefined ? first + 1 : Number(to);
  }
  if (first >= end || end > bits)
    throw new InputError(
      `${printable(text)}: ${name} has bits 0 to ${bits - 1}`,
      { code: "field-bits", kind: "usage" },
    );
  return { field: name, first, count: end - first };
}

/** `ipv4.src,ipv4.dst/16`. */
export function parseFieldList(text: string): readonly FieldSpec[] {
  return text.split(",").map(parseFieldSpec);
}

export function printFieldSpec(spec: FieldSpec): string {
  const { field, first, count } = spec;
  if (first === 0 && count === fields[field].bits) return field;
  if (first === 0) return `${field}/${count}`;
  if (count === 1) return `${field}[${first}]`;
  return `${field}[${first}:${first + count}]`;
}

export function specBits(spec: FieldSpec): readonly FieldBit[] {
  return Array.from({ length: spec.count }, (_, index) => ({
    field: spec.field,
    bit: spec.first + index,
  }));
}

function unknownField(text: string, name: string): InputError {
  const near = nearest(name === "" ? text : name, fieldNames);
  return new InputError(
    `unknown header field ${printable(text)}${near === undefined ? "" : `; did you mean ${near}?`}`,
    { code: "field-unknown", kind: "usage" },
  );
}
