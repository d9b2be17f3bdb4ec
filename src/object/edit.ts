/**
 * Edits: an object in, another out. BTF follows when the object is written (see
 * describe-maps): a changed map gets a new definition, appended; the types that
 * other maps may share stay as they are.
 */
import { InputError, nearest } from "../base/index.ts";
import {
  isUnsized,
  mapTypeRow,
  type FunctionSpec,
  type MapSpec,
  type MapTypeName,
} from "../isa/index.ts";
import { emptyBtf } from "./btf.ts";
import {
  implied,
  isDataMap,
  isDataSection,
  sectionOf,
} from "./data-sections.ts";
import { BtfBuilder } from "./define-map.ts";
import { mapsSection, mmapable } from "./map-definition.ts";
import { calleesOf, entriesOf } from "./program.ts";
import type { ObjectSpec, VariableSpec } from "./spec.ts";

const page = 4096;

/** An object without anything in it. */
export function emptyObject(file: string, license: string): ObjectSpec {
  return {
    file,
    license,
    maps: [],
    functions: [],
    programs: [],
    btf: emptyBtf,
    variables: [],
    externs: [],
    sections: [],
    notes: [],
  };
}

/** The map becomes one of another type; flags that the new type refuses go. */
export function setMapType(
  object: ObjectSpec,
  name: string,
  type: MapTypeName,
): ObjectSpec {
  const map = declaredMap(object, name);
  if (mapTypeRow(type).ofMaps === true && map.inner === undefined)
    throw fault(object, `map ${name} cannot become ${type}: no inner map`);
  const keepsMapping = type === "array" || type === "arena";
  const flags = keepsMapping ? map.flags : map.flags & ~mmapable;
  return replaceMap(object, { ...map, type, flags });
}

export function resizeMap(
  object: ObjectSpec,
  name: string,
  maxEntries: number,
): ObjectSpec {
  return replaceMap(object, { ...declaredMap(object, name), maxEntries });
}

/**
 * Maps whose size is left to user space get `entries` (ring buffers a page), as
 * loaders do that are told nothing; with their names.
 */
export function sizeMaps(
  object: ObjectSpec,
  entries: number,
): { readonly object: ObjectSpec; readonly sized: readonly string[] } {
  const sized = (map: MapSpec): MapSpec => {
    const inner = map.inner === undefined ? {} : { inner: sized(map.inner) };
    if (!isUnsized(map))
      return map.inner === undefined ? map : { ...map, ...inner };
    const isRing = map.type === "ringbuf" || map.type === "user_ringbuf";
    return { ...map, ...inner, maxEntries: isRing ? page : entries };
  };
  return {
    object: { ...object, maps: object.maps.map(sized) },
    sized: object.maps.filter(isUnsized).map(({ name }) => name),
  };
}

/** Puts `map` in the place of the declared map of its name. */
export function replaceMap(object: ObjectSpec, map: MapSpec): ObjectSpec {
  declaredMap(object, map.name);
  return {
    ...object,
    maps: object.maps.map((other) => (other.name === map.name ? map : other)),
  };
}

export function addMap(object: ObjectSpec, map: MapSpec): ObjectSpec {
  if (object.maps.some(({ name }) => name === map.name))
    throw fault(object, `there is a map ${map.name} already`);
  if (isDataMap(map))
    throw fault(object, `${map.section} is no section for declared maps`);
  const declared = object.maps.filter((other) => !isDataMap(other));
  const data = object.maps.filter((other) => isDataMap(other));
  const added = { ...map, section: mapsSection };
  return { ...object, maps: [...declared, added, ...data] };
}

/** Removes a map that no function and no other map names. */
export function removeMap(object: ObjectSpec, name: string): ObjectSpec {
  const map = declaredMap(object, name);
  const user = object.functions.find((fn) => names(fn, name));
  const holder = object.maps.find(({ values }) =>
    values?.some(({ target }) => target.kind === "map" && target.name === name),
  );
  const by = user?.name ?? holder?.name;
  if (by !== undefined) throw fault(object, `map ${name} is used by ${by}`);
  return { ...object, maps: object.maps.filter((other) => other !== map) };
}

/** `functions` take the places of those of their names; new ones are added. */
export function replaceFunctions(
  object: ObjectSpec,
  functions: readonly FunctionSpec[],
): ObjectSpec {
  const given = new Map(functions.map((fn) => [fn.name, fn]));
  const standing = new Set(object.functions.map(({ name }) => name));
  const all = [
    ...object.functions.map((fn) => given.get(fn.name) ?? fn),
    ...functions.filter(({ name }) => !standing.has(name)),
  ];
  return { ...object, functions: all, programs: entriesOf(all) };
}

/** Removes functions that no other calls; programs among them go too. */
export function removeFunctions(
  object: ObjectSpec,
  gone: ReadonlySet<string>,
): ObjectSpec {
  const functions = object.functions.filter(({ name }) => !gone.has(name));
  for (const fn of functions)
    for (const callee of calleesOf(fn))
      if (gone.has(callee))
        throw fault(object, `function ${callee} is used by ${fn.name}`);
  return { ...object, functions, programs: entriesOf(functions) };
}

/** A global variable in a data section, which is made if it is not there. */
export function addVariable(
  object: ObjectSpec,
  section: string,
  name: string,
  data: Uint8Array,
): { readonly object: ObjectSpec; readonly variable: VariableSpec } {
  if (!isDataSection(section))
    throw fault(object, `${section} is no section for variables`);
  if (object.variables.some((other) => other.name === name))
    throw fault(object, `there is a variable ${name} already`);
  const old = object.maps.find((map) => map.name === section);
  const offset = Math.ceil((old?.data?.length ?? 0) / 8) * 8;
  const bytes = new Uint8Array(offset + data.length);
  bytes.set(old?.data ?? []);
  bytes.set(data, offset);

  const size = data.length;
  const variable: VariableSpec = {
    name,
    section,
    offset,
    size,
    linkage: "global",
  };
  const btf =
    object.btf === undefined ? undefined : describe(object.btf, variable);
  const map = implied(section, bytes, btf);
  const kept = object.maps.filter((other) => other !== old);
  const at = old === undefined ? kept.length : object.maps.indexOf(old);
  return {
    variable,
    object: {
      ...object,
      maps: [...kept.slice(0, at), map, ...kept.slice(at)],
      variables: [...object.variables, variable],
      ...(btf === undefined ? {} : { btf }),
    },
  };
}

/** BTF with the new variable in its section. */
function describe(
  btf: NonNullable<ObjectSpec["btf"]>,
  variable: VariableSpec,
): NonNullable<ObjectSpec["btf"]> {
  const builder = new BtfBuilder(btf);
  const { name, size, offset } = variable;
  const words = new Map([
    [1, "unsigned char"],
    [2, "unsigned short"],
    [4, "unsigned int"],
    [8, "unsigned long long"],
  ]);
  const word = words.get(size);
  const type =
    word === undefined
      ? builder.array(builder.int("unsigned char", 1, 0), size)
      : builder.int(word, size, 0);
  const id = builder.add({ kind: "variable", name, type, linkage: "global" });
  const standing = sectionOf(btf, variable.section);
  const section = {
    kind: "section",
    name: variable.section,
    size: offset + size,
    variables: [
      ...(standing?.section.variables ?? []),
      { type: id, offset, size },
    ],
  } as const;
  if (standing === undefined) builder.add(section);
  else builder.replace(standing.id, section);
  return builder.btf;
}

function declaredMap(object: ObjectSpec, name: string): MapSpec {
  const map = object.maps.find((other) => other.name === name);
  if (map === undefined) {
    const near = nearest(
      name,
      object.maps.map((other) => other.name),
    );
    throw fault(
      object,
      `there is no map ${name}`,
      near === undefined ? undefined : `did you mean ${near}?`,
    );
  }
  if (isDataMap(map))
    throw fault(object, `${name} stands for a section and has no definition`);
  return map;
}

function names(fn: FunctionSpec, map: string): boolean {
  return fn.instructions.some(
    (instruction) =>
      instruction.kind === "load-wide" &&
      (instruction.value.kind === "map" ||
        instruction.value.kind === "map-value") &&
      instruction.value.map === map,
  );
}

function fault(object: ObjectSpec, text: string, fix?: string): InputError {
  return new InputError(text, {
    code: "map-edit",
    kind: "usage",
    file: object.file,
    ...(fix === undefined ? {} : { fix }),
  });
}
