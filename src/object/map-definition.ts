/**
 * BTF-defined maps, read: a variable in `.maps` whose struct type says by the
 * *types* of its members what map is wanted.
 *
 *     int (*type)[N]            number N        __uint(type, N)
 *     T *key                    type T          __type(key, T)
 *     struct inner *values[]    inner maps      __array(values, struct inner)
 *     enum { x = N } map_extra  number N        __ulong(map_extra, N)
 *
 * Source: libbpf's bpf_helpers.h and parse_btf_map_def.
 */
import { InputError } from "../base/index.ts";
import { mapTypeByNumber, mapTypeRow, type MapSpec } from "../isa/index.ts";
import type { Btf, BtfMember, BtfType } from "./btf.ts";
import { layoutOf } from "./layout.ts";
import { resolveType, sizeOfType } from "./resolve.ts";

export const mapsSection = ".maps";
/** BPF_F_RDONLY_PROG */
export const readOnlyProgram = 1 << 7;
/** BPF_F_MMAPABLE */
export const mmapable = 1 << 10;

export interface ParsedDefinition {
  readonly map: MapSpec;
  /** Members that mean nothing to us. */
  readonly unknown: readonly string[];
  /** Offset in bytes of `values`, the array of static initialisers. */
  readonly valuesAt?: number;
}

/** Numbers and types that the members of a definition give. */
interface Collected {
  readonly numbers: Map<string, bigint>;
  readonly types: Map<string, number>;
  readonly unknown: string[];
  inner?: MapSpec;
  valuesAt?: number;
}

const numbers = new Set([
  "type",
  "key_size",
  "value_size",
  "max_entries",
  "map_flags",
  "numa_node",
  "map_extra",
  "pinning",
]);

/** The map `name` that struct type `id` defines; `outer` says it is an inner map's template. */
export function parseMapDefinition(
  btf: Btf,
  id: number,
  name: string,
  outer = false,
): ParsedDefinition {
  const { type } = resolveType(btf, id);
  if (type.kind !== "struct") throw fault(name, "its type is no struct");
  if (type.members.length > 64) throw fault(name, "too many members");
  const found: Collected = {
    numbers: new Map(),
    types: new Map(),
    unknown: [],
  };
  for (const member of type.members) collect(btf, member, name, outer, found);

  const typeNumber = numberOf(found, "type") ?? 0;
  const mapType = mapTypeByNumber(typeNumber);
  if (mapType === undefined)
    throw fault(name, `unknown map type ${typeNumber}`);
  const flags = numberOf(found, "map_flags") ?? 0;
  const extra = found.numbers.get("map_extra");
  const numaNode = numberOf(found, "numa_node");
  const key = found.types.get("key");
  const value = found.types.get("value");
  const hasValues = found.valuesAt !== undefined;
  return {
    map: {
      name,
      type: mapType,
      keySize: sizeOf(btf, found, name, "key"),
      valueSize: hasValues ? 4 : sizeOf(btf, found, name, "value"),
      maxEntries: numberOf(found, "max_entries") ?? 0,
      flags,
      ...(extra === undefined || extra === 0n ? {} : { extra }),
      ...(numberOf(found, "pinning") === 1 ? { pinning: "by-name" } : {}),
      ...(numaNode === undefined ? {} : { numaNode }),
      ...(found.inner === undefined || mapTypeRow(mapType).ofMaps !== true
        ? {}
        : { inner: found.inner }),
      section: mapsSection,
      readOnly: (flags & readOnlyProgram) !== 0,
      ...typed(btf, "key", key),
      ...typed(btf, "value", hasValues ? undefined : value),
    },
    unknown: found.unknown,
    ...(found.valuesAt === undefined ? {} : { valuesAt: found.valuesAt }),
  };
}

/** The members of MapSpec that follow from a key's or value's type. */
export function typed(
  btf: Btf,
  which: "key" | "value",
  id: number | undefined,
): Partial<MapSpec> {
  if (id === undefined) return {};
  const fields = layoutOf(btf, id);
  if (which === "key")
    return {
      btfKey: id,
      ...(fields === undefined ? {} : { keyFields: fields }),
    };
  return {
    btfValue: id,
    ...(fields === undefined ? {} : { valueFields: fields }),
  };
}

function collect(
  btf: Btf,
  member: BtfMember,
  map: string,
  outer: boolean,
  found: Collected,
): void {
  const name = member.name;
  if (numbers.has(name)) {
    found.numbers.set(name, memberNumber(btf, member, map));
  } else if (name === "key" || name === "value") {
    const { type } = resolveType(btf, member.type);
    if (type.kind !== "pointer") throw fault(map, `\`${name}\` is no pointer`);
    found.types.set(name, type.type);
  } else if (name === "values") {
    if (outer) throw fault(map, "an inner map cannot hold maps");
    found.valuesAt = Math.floor(member.bitOffset / 8);
    const inner = innerDefinition(btf, member, map);
    if (inner !== undefined) found.inner = inner;
  } else found.unknown.push(name);
}

/** `int (*name)[N]`, or an enum type with the one value N. */
function memberNumber(btf: Btf, member: BtfMember, map: string): bigint {
  const { type } = resolveType(btf, member.type);
  if (type.kind === "enum" || type.kind === "enum64") {
    const [value] = type.values;
    if (value !== undefined && type.values.length === 1) return value.value;
  }
  const array =
    type.kind === "pointer" ? resolveType(btf, type.type).type : undefined;
  if (array?.kind === "array") return BigInt(array.count);
  throw fault(map, `\`${member.name}\` encodes no number`);
}

/** The template in `values`; undefined for arrays of programs. */
function innerDefinition(
  btf: Btf,
  member: BtfMember,
  map: string,
): MapSpec | undefined {
  const array = resolveType(btf, member.type).type;
  const pointer: BtfType | undefined =
    array.kind === "array" ? resolveType(btf, array.type).type : undefined;
  if (pointer?.kind !== "pointer")
    throw fault(map, "`values` is no array of pointers");
  const target = resolveType(btf, pointer.type);
  if (target.type.kind === "prototype") return undefined;
  return parseMapDefinition(btf, target.id, `${map}.inner`, true).map;
}

function numberOf(found: Collected, name: string): number | undefined {
  const value = found.numbers.get(name);
  return value === undefined ? undefined : Number(BigInt.asUintN(32, value));
}

function sizeOf(
  btf: Btf,
  found: Collected,
  map: string,
  which: "key" | "value",
): number {
  const given = numberOf(found, `${which}_size`);
  const id = found.types.get(which);
  if (id === undefined) return given ?? 0;
  const size = sizeOfType(btf, id);
  if (size === undefined) throw fault(map, `its ${which} type has no size`);
  if (given !== undefined && given !== size)
    throw fault(map, `${which}_size is ${given}, but its type has ${size}`);
  if (size > 0xffff_ffff) throw fault(map, `its ${which} is too large`);
  return size;
}

function fault(map: string, why: string): InputError {
  return new InputError(`map ${map}: ${why}`, { code: "map-definition" });
}
