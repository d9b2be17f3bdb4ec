/**
 * BTF-defined maps, written: MapSpec → struct type, the inverse of
 * map-definition. Types are only ever appended: two maps may share one struct
 * (`struct { … } a, b SEC(".maps")`), so a type in place is never changed.
 */
import { mapTypeRow, mapTypes, type MapSpec } from "../isa/index.ts";
import type { Btf, BtfMember, BtfType } from "./btf.ts";
import { parseMapDefinition } from "./map-definition.ts";

/** Appends types, reusing equal ones that stand already. */
export class BtfBuilder {
  readonly #types: BtfType[];
  readonly #known = new Map<string, number>();

  constructor(btf: Btf) {
    this.#types = [...btf.types];
    for (const [id, type] of btf.types.entries()) {
      const key = keyOf(type);
      if (key !== undefined && !this.#known.has(key)) this.#known.set(key, id);
    }
  }

  get btf(): Btf {
    return { types: this.#types };
  }

  /** The id of a type equal to `type`, appended if there is none. */
  add(type: BtfType): number {
    const key = keyOf(type);
    const known = key === undefined ? undefined : this.#known.get(key);
    if (known !== undefined) return known;
    this.#types.push(type);
    const id = this.#types.length - 1;
    if (key !== undefined) this.#known.set(key, id);
    return id;
  }

  /** Variables and sections describe one symbol each: these may be replaced. */
  replace(
    id: number,
    type: Extract<BtfType, { kind: "variable" | "section" }>,
  ): void {
    this.#types[id] = type;
  }

  /** Something without meaning in the place of a section that is gone. */
  erase(id: number): void {
    this.#types[id] = { kind: "const", type: 0 };
  }

  int(name = "int", size = 4, encoding = 1): number {
    return this.add({
      kind: "int",
      name,
      size,
      bits: 8 * size,
      offset: 0,
      encoding,
    });
  }

  array(type: number, count: number): number {
    const index = this.int("__ARRAY_SIZE_TYPE__", 4, 0);
    return this.add({ kind: "array", type, index, count });
  }

  pointer(type: number): number {
    return this.add({ kind: "pointer", type });
  }
}

/** Only small, nameless or builtin types are shared; the rest is always new. */
function keyOf(type: BtfType): string | undefined {
  if (type.kind === "int")
    return `i ${type.name} ${type.size} ${type.bits} ${type.offset} ${type.encoding}`;
  if (type.kind === "pointer") return `p ${type.type}`;
  if (type.kind === "array")
    return `a ${type.type} ${type.index} ${type.count}`;
  if (type.kind === "prototype" && type.parameters.length === 0)
    return `f ${type.type}`;
  return undefined;
}

/** Appends a struct that defines `map`; gives its id. */
export function defineMap(builder: BtfBuilder, map: MapSpec): number {
  const members: BtfMember[] = [];
  const member = (name: string, type: number): void => {
    members.push({ name, type, bitOffset: 64 * members.length, bitSize: 0 });
  };
  const number = (name: string, value: number): void =>
    member(name, builder.pointer(builder.array(builder.int(), value)));
  const sized = (which: "key" | "value", size: number, type?: number): void => {
    if (type !== undefined) member(which, builder.pointer(type));
    else if (size > 0) number(`${which}_size`, size);
  };
  const elements = valuesType(builder, map);

  number("type", mapTypes[map.type].number);
  sized("key", map.keySize, map.btfKey);
  if (elements === undefined) sized("value", map.valueSize, map.btfValue);
  if (map.maxEntries > 0) number("max_entries", map.maxEntries);
  if (map.flags > 0) number("map_flags", map.flags);
  if (map.numaNode !== undefined) number("numa_node", map.numaNode);
  if (map.extra !== undefined && map.extra > 0n)
    member("map_extra", extraType(builder, map.extra));
  if (map.pinning === "by-name") number("pinning", 1);
  const size = 8 * members.length;
  // An array without elements adds nothing to the struct's size.
  if (elements !== undefined) member("values", builder.array(elements, 0));
  return builder.add({
    kind: "struct",
    name: "",
    size,
    bitFields: false,
    members,
  });
}

/** Does struct type `id` define `map` already? */
export function definesMap(btf: Btf, id: number, map: MapSpec): boolean {
  const { map: now, valuesAt } = parseMapDefinition(btf, id, map.name);
  const hasRoom = (map.values ?? []).length === 0 || valuesAt !== undefined;
  return hasRoom && definitionKey(now) === definitionKey(map);
}

/** All that a definition says, as text. */
function definitionKey(map: MapSpec): string {
  // prettier-ignore
  return [
    map.type, map.keySize, map.valueSize, map.maxEntries, map.flags, map.extra ?? 0n, map.pinning,
    map.numaNode, map.btfKey, map.btfValue, map.inner === undefined ? "" : definitionKey(map.inner),
  ].join(" ");
}

/** Type of an element of `values`; undefined for maps without it. */
function valuesType(builder: BtfBuilder, map: MapSpec): number | undefined {
  if (mapTypeRow(map.type).ofMaps === true && map.inner !== undefined)
    return builder.pointer(defineMap(builder, map.inner));
  if (map.type === "prog_array" && (map.values ?? []).length > 0)
    return builder.pointer(
      builder.add({ kind: "prototype", type: builder.int(), parameters: [] }),
    );
  return undefined;
}

/** Numbers above 32 bits do not fit an array's count. */
function extraType(builder: BtfBuilder, extra: bigint): number {
  if (extra <= 0xffff_ffffn)
    return builder.pointer(builder.array(builder.int(), Number(extra)));
  return builder.add({
    kind: "enum64",
    name: "",
    size: 8,
    signed: false,
    values: [{ name: "map_extra_value", value: extra }],
  });
}
