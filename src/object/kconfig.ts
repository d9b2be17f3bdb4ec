/**
 * Values of the kernel's configuration (`extern … __kconfig`): the object declares
 * them, whoever knows the kernel gives them.
 *
 *   CONFIG_X=y, =m   bool: 1;  tristate: 1, 2;  char: its letter
 *   CONFIG_X=250     int of any size that holds it
 *   CONFIG_X="text"  array of char, cut to fit, ends in 0
 *   LINUX_…          numbers that are no part of the configuration
 *
 * A value that nobody knows is 0 where the extern is weak, and stops the object
 * where it is not. Source: libbpf set_kcfg_value_tri, _str, _num.
 */
import { InputError } from "../base/index.ts";
import type { MapSpec } from "../isa/index.ts";
import type { BtfType } from "./btf.ts";
import { kconfigSection, sectionOf } from "./data-sections.ts";
import { resolveType } from "./resolve.ts";
import type { ExternSpec, ObjectSpec } from "./spec.ts";

/** As a configuration file writes it (`y`, `250`, `"text"`); undefined: not set. */
export type KconfigLookup = (name: string) => string | undefined;

type KconfigExtern = Extract<ExternSpec, { kind: "kconfig" }>;

export interface FilledKconfig {
  readonly object: ObjectSpec;
  /** Not weak, and not known: the map then stays without contents. */
  readonly missing: readonly string[];
}

/** The object with the contents of its map `.kconfig`. */
export function fillKconfig(
  object: ObjectSpec,
  lookup: KconfigLookup,
): FilledKconfig {
  const map = object.maps.find(({ section }) => section === kconfigSection);
  if (map === undefined) return { object, missing: [] };
  const data = new Uint8Array(map.valueSize);
  const missing: string[] = [];
  for (const extern of object.externs) {
    if (extern.kind !== "kconfig") continue;
    const value = lookup(extern.name);
    if (value !== undefined)
      data.set(bytesOf(object, extern, value), extern.offset);
    else if (!extern.weak) missing.push(extern.name);
  }
  if (missing.length > 0) return { object, missing };
  const filled: MapSpec = { ...map, data };
  const maps = object.maps.map((other) => (other === map ? filled : other));
  return { object: { ...object, maps }, missing };
}

function bytesOf(
  object: ObjectSpec,
  extern: KconfigExtern,
  value: string,
): Uint8Array {
  const type = typeOf(object, extern.name);
  const number = numberOf(type, value);
  if (number !== undefined) {
    const bits = 8 * extern.size;
    if (
      BigInt.asUintN(bits, number) !== number &&
      BigInt.asIntN(bits, number) !== number
    )
      throw unfit(extern, value);
    const bytes = new Uint8Array(8);
    new DataView(bytes.buffer).setBigInt64(0, number, true);
    return bytes.subarray(0, extern.size);
  }
  if (type?.kind === "array" && value.startsWith('"')) {
    const text = new TextEncoder().encode(value.slice(1, -1));
    const bytes = new Uint8Array(extern.size);
    bytes.set(text.subarray(0, extern.size - 1));
    return bytes;
  }
  throw unfit(extern, value);
}

/** The value as an integer of this type; undefined where it is none. */
function numberOf(
  type: BtfType | undefined,
  value: string,
): bigint | undefined {
  if (type?.kind === "enum" || type?.kind === "enum64") {
    const tristate: Readonly<Record<string, bigint>> = { n: 0n, y: 1n, m: 2n };
    return tristate[value];
  }
  if (type?.kind !== "int") return undefined;
  const isBool = (type.encoding & 4) !== 0;
  if (isBool && /^[yn]$/.test(value)) return value === "y" ? 1n : 0n;
  if (!isBool && type.size === 1 && /^[ymn]$/.test(value))
    return BigInt(value.charCodeAt(0));
  return /^-?(?:0x[0-9a-f]+|\d+)$/i.test(value)
    ? value.startsWith("-")
      ? -BigInt(value.slice(1))
      : BigInt(value)
    : undefined;
}

function typeOf({ btf }: ObjectSpec, name: string): BtfType | undefined {
  if (btf === undefined) return undefined;
  for (const item of sectionOf(btf, kconfigSection)?.section.variables ?? []) {
    const variable = btf.types[item.type];
    if (variable?.kind === "variable" && variable.name === name)
      return resolveType(btf, variable.type).type;
  }
  return undefined;
}

function unfit({ name, size }: KconfigExtern, value: string): InputError {
  return new InputError(
    `extern ${name}: the kernel has ${value}, which its type of ${size} bytes does not hold`,
    { code: "kconfig-value" },
  );
}
