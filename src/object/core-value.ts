/**
 * The number that a CO-RE relocation asks for, given a path in some BTF.
 * `undefined`: there is none, and the instruction must not be reached.
 *
 * A bit field is read in its storage unit, widened until the field fits, at most
 * to 8 bytes; shifts are for a little-endian u64.
 *
 * Source: include/uapi/linux/bpf.h `enum bpf_core_relo_kind`; libbpf relo_core.c.
 */
import { InputError } from "../base/index.ts";
import type { Btf } from "./btf.ts";
import { isComposite, type AccessPath } from "./core-spec.ts";
import { resolveType, sizeOfType } from "./resolve.ts";

/** By number of the kind. */
export const relocationKinds = [
  "field-offset",
  "field-size",
  "field-exists",
  "field-signed",
  "field-left-shift",
  "field-right-shift",
  "type-id-local",
  "type-id-target",
  "type-exists",
  "type-size",
  "enumerator-exists",
  "enumerator-value",
  "type-matches",
] as const;

export type RelocationKind = (typeof relocationKinds)[number];

export interface RelocationValue {
  readonly value: bigint;
  /** Does the instruction hold the object's own value before? Not told of bit fields. */
  readonly checked: boolean;
  /** Of the field that is accessed, for offsets. */
  readonly field?: { readonly size: number; readonly resizable: boolean };
}

const plain = (value: number | bigint): RelocationValue => ({
  value: BigInt(value),
  checked: true,
});

export function fieldValue(
  kind: RelocationKind,
  btf: Btf,
  path: AccessPath | undefined,
): RelocationValue | undefined {
  if (kind === "field-exists") return plain(path === undefined ? 0 : 1);
  const last = path?.steps.at(-1);
  if (path === undefined || last === undefined) return undefined;
  if (last.name === undefined) return elementValue(kind, btf, path, last.type);
  const owner = btf.types[last.type];
  const member =
    owner !== undefined && isComposite(owner)
      ? owner.members[last.index]
      : undefined;
  if (member === undefined) return undefined;
  const { id, type } = resolveType(btf, member.type);
  const isBitField = member.bitSize > 0;
  const size = sizeOfType(btf, id) ?? 0;
  const unit = isBitField
    ? storageUnit(path.bitOffset, member.bitSize, size)
    : { offset: Math.floor(path.bitOffset / 8), size };
  const bits = isBitField ? member.bitSize : 8 * unit.size;
  if (kind === "field-offset")
    return {
      value: BigInt(unit.offset),
      checked: !isBitField,
      ...(isBitField ? {} : { field: { size, resizable: resizable(btf, id) } }),
    };
  if (kind === "field-size")
    return { value: BigInt(unit.size), checked: !isBitField };
  if (kind === "field-signed")
    return plain(
      type.kind === "enum" || type.kind === "enum64"
        ? Number(type.signed)
        : type.kind === "int"
          ? type.encoding & 1
          : 0,
    );
  if (kind === "field-left-shift")
    return {
      value: BigInt(64 - (path.bitOffset + bits - 8 * unit.offset)),
      checked: !isBitField,
    };
  if (kind === "field-right-shift") return plain(64 - bits);
  throw unsupported(kind);
}

function elementValue(
  kind: RelocationKind,
  btf: Btf,
  path: AccessPath,
  id: number,
): RelocationValue {
  const size = sizeOfType(btf, id) ?? 0;
  if (kind === "field-size") return plain(size);
  if (kind !== "field-offset") throw unsupported(kind);
  return {
    ...plain(Math.floor(path.bitOffset / 8)),
    field: { size, resizable: resizable(btf, id) },
  };
}

function storageUnit(
  bitOffset: number,
  bits: number,
  declared: number,
): { offset: number; size: number } {
  let size = Math.max(declared, 1);
  for (;;) {
    const offset = Math.floor(bitOffset / 8 / size) * size;
    if (bitOffset + bits - 8 * offset <= 8 * size) return { offset, size };
    if (size >= 8)
      throw new InputError("CO-RE: a bit field crosses 8 bytes", {
        code: "core-bit-field",
      });
    size *= 2;
  }
}

/** May a load of this field change its width? Pointers and unsigned integers. */
function resizable(btf: Btf, id: number): boolean {
  const { type } = resolveType(btf, id);
  return (
    type.kind === "pointer" ||
    (type.kind === "int" && (type.encoding & 1) === 0)
  );
}

export function typeValue(
  kind: RelocationKind,
  btf: Btf,
  id: number | undefined,
): RelocationValue {
  if (id === undefined) return plain(0);
  // The record's own id may have moved when objects were linked.
  if (kind === "type-id-local" || kind === "type-id-target")
    return { value: BigInt(id), checked: false };
  if (kind === "type-size") return plain(sizeOfType(btf, id) ?? 0);
  return plain(1);
}

export function enumeratorValue(
  kind: RelocationKind,
  value: bigint | undefined,
): RelocationValue | undefined {
  if (kind === "enumerator-exists") return plain(value === undefined ? 0 : 1);
  return value === undefined ? undefined : plain(value);
}

function unsupported(kind: RelocationKind): InputError {
  return new InputError(`CO-RE: ${kind} of an array element`, {
    code: "core-kind",
  });
}
