/**
 * `--set NAME=VALUE`: values of read-only variables, written into the first
 * contents of their data section before anything is analysed.
 */
import { InputError, nearest, printable } from "../base/index.ts";
import type { MapSpec, ProgramSpec } from "../isa/index.ts";

/** The program with these variables set; an InputError where there is none of that name. */
export function withSettings(
  program: ProgramSpec,
  set: Readonly<Record<string, bigint>>,
): ProgramSpec {
  const entries = Object.entries(set);
  if (entries.length === 0) return program;
  let maps = program.maps;
  for (const [name, value] of entries) {
    const at = maps.findIndex((map) => fieldNamed(map, name) !== undefined);
    const map = maps[at];
    if (map === undefined) throw unknownVariable(program, name);
    maps = maps.with(at, withVariable(map, name, value));
  }
  return { ...program, maps };
}

function fieldNamed(map: MapSpec, name: string) {
  if (!map.readOnly || map.data === undefined) return undefined;
  return map.valueFields?.find(({ path }) => path === name);
}

function withVariable(map: MapSpec, name: string, value: bigint): MapSpec {
  const field = fieldNamed(map, name);
  if (field === undefined || map.data === undefined) return map;
  const data = map.data.slice();
  const size = field.bits / 8;
  const fits =
    BigInt.asUintN(field.bits, value) === value ||
    BigInt.asIntN(field.bits, value) === value;
  if (!fits || !Number.isInteger(size) || field.bitOffset % 8 !== 0)
    throw new InputError(
      `${printable(name)} has ${field.bits} bits; ${value} does not fit`,
      { code: "set-range", kind: "usage" },
    );
  for (let index = 0; index < size; index++)
    data[field.bitOffset / 8 + index] = Number(
      (value >> BigInt(8 * index)) & 0xffn,
    );
  return { ...map, data };
}

function unknownVariable(program: ProgramSpec, name: string): InputError {
  const known = program.maps.flatMap((map) =>
    map.readOnly && map.data !== undefined
      ? (map.valueFields ?? []).map(({ path }) => path)
      : [],
  );
  const near = nearest(name, known);
  return new InputError(
    `${printable(program.name)} has no read-only variable ${printable(name)}${near === undefined ? "" : `; did you mean ${printable(near)}?`}`,
    { code: "set-unknown", kind: "usage" },
  );
}
