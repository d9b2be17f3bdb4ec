/**
 * `--set NAME=VALUE`: the first contents of a variable in a data section, changed
 * in the object itself, so that what is analysed is what is emitted.
 *
 * NAME is a variable (`expiry`) or a member of one (`macs.own[0]`), as BTF
 * tells the layout; VALUE a whole number (0x… too), true or false.
 */
import { InputError, nearest } from "../base/index.ts";
import type { FieldLayout, MapSpec } from "../isa/index.ts";
import type { ObjectSpec } from "./spec.ts";

/** The object with the variable set; an InputError (usage) where that cannot be. */
export function setVariable(
  object: ObjectSpec,
  name: string,
  value: string,
): ObjectSpec {
  const found = findVariable(object, name);
  if (found === undefined) {
    const near = nearest(name, variableNames(object));
    throw usage(
      `${object.file} has no read-only variable ${name}`,
      near === undefined ? undefined : `did you mean ${near}?`,
    );
  }
  const { map, field } = found;
  const number = parseValue(name, value, field.bits);
  const data = map.data?.slice() ?? new Uint8Array(map.valueSize);
  for (let byte = 0; byte < field.bits / 8; byte++)
    data[field.bitOffset / 8 + byte] = Number(
      (number >> BigInt(8 * byte)) & 0xffn,
    );
  return {
    ...object,
    maps: object.maps.map((other) =>
      other === map ? { ...map, data } : other,
    ),
  };
}

/** Has the object a read-only scalar of that name? */
export function hasVariable(object: ObjectSpec, name: string): boolean {
  return findVariable(object, name) !== undefined;
}

/** First value of such a variable, unsigned. */
function variableValue(object: ObjectSpec, name: string): bigint | undefined {
  const found = findVariable(object, name);
  if (found === undefined) return undefined;
  const { map, field } = found;
  let value = 0n;
  for (let byte = field.bits / 8 - 1; byte >= 0; byte--)
    value = (value << 8n) | BigInt(map.data?.[field.bitOffset / 8 + byte] ?? 0);
  return value;
}

/** Ports that the object itself binds: a variable `lan_ifindex = 1` names port lan. */
export function portVariables(
  object: ObjectSpec,
): { readonly name: string; readonly ifindex: number }[] {
  return variableNames(object).flatMap((variable) => {
    const name = /^([a-z][a-z0-9]*)_ifindex$/.exec(variable)?.[1];
    const ifindex = Number(variableValue(object, variable) ?? 0n);
    return name === undefined || ifindex === 0 ? [] : [{ name, ifindex }];
  });
}

/** Names that setVariable takes. */
function variableNames(object: ObjectSpec): string[] {
  return settable(object).flatMap((map) =>
    (map.valueFields ?? []).filter(isWhole).map(({ path }) => path),
  );
}

function findVariable(
  object: ObjectSpec,
  name: string,
): { map: MapSpec; field: FieldLayout } | undefined {
  for (const map of settable(object))
    for (const field of map.valueFields ?? [])
      if (field.path === name && isWhole(field)) return { map, field };
  return undefined;
}

function settable(object: ObjectSpec): MapSpec[] {
  return object.maps.filter(
    (map) =>
      map.readOnly && map.data !== undefined && map.section !== ".kconfig",
  );
}

function isWhole(field: FieldLayout): boolean {
  return (
    (field.kind === "int" || field.kind === "enum") &&
    field.bitOffset % 8 === 0 &&
    [8, 16, 32, 64].includes(field.bits)
  );
}

function parseValue(name: string, value: string, bits: number): bigint {
  const words: Readonly<Record<string, bigint>> = { true: 1n, false: 0n };
  const number =
    words[value] ??
    (/^-?(\d+|0x[0-9a-f]+)$/i.test(value)
      ? value.startsWith("-")
        ? -BigInt(value.slice(1))
        : BigInt(value)
      : undefined);
  if (number === undefined)
    throw usage(`${name}: a whole number is expected, not ${value}`);
  if (number < -(1n << BigInt(bits - 1)) || number >= 1n << BigInt(bits))
    throw usage(`${name} has ${bits} bits: ${value} does not fit`);
  return BigInt.asUintN(bits, number);
}

function usage(text: string, fix?: string): InputError {
  return new InputError(text, {
    code: "variable-not-settable",
    kind: "usage",
    ...(fix === undefined ? {} : { fix }),
  });
}
