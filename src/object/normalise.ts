/**
 * The form of an object that `writeObject` can express and every loader accepts.
 * Law: readObject(writeObject(x)) = normalise(x), notes aside.
 *
 * - Maps stand in `.maps`, defined by BTF, made for the purpose where there was
 *   none. A definition that says what the map is already stays; otherwise a new
 *   struct is appended and the map's variable points to it.
 * - Declared maps come first, then data sections, `.kconfig` last; functions are
 *   grouped by section; variables follow the order of their sections.
 * - libbpf refuses static functions outside `.text`, and calls to elsewhere. So
 *   static entries become global ones, called functions move to `.text`, and an
 *   entry that is also called gets a copy there.
 */
import type { FunctionSpec, Instruction, MapSpec } from "../isa/index.ts";
import { emptyBtf, type Btf, type BtfSectionVariable } from "./btf.ts";
import { isDataSection, kconfigSection, sectionOf } from "./data-sections.ts";
import { BtfBuilder, defineMap, definesMap } from "./define-map.ts";
import { textSection } from "./functions.ts";
import { mapsSection, parseMapDefinition } from "./map-definition.ts";
import { calleesOf, entriesOf } from "./program.ts";
import { sizeOfType } from "./resolve.ts";
import type { ObjectSpec, VariableSpec } from "./spec.ts";

export function normalise(object: ObjectSpec): ObjectSpec {
  const maps = orderMaps(object.maps);
  const functions = arrangeFunctions(object.functions);
  const btf = describeMaps(object.btf, maps);
  const order = [
    ...maps.map(({ section }) => section),
    ...object.sections.map(({ name }) => name),
  ];
  return {
    ...object,
    maps,
    functions,
    programs: entriesOf(functions),
    variables: orderVariables(object.variables, order),
    ...(btf === undefined ? {} : { btf: fitSections(btf, object) }),
  };
}

/** A map that stands for a section of global variables. */
export function isDataMap(map: MapSpec): boolean {
  return isDataSection(map.section) || map.section === kconfigSection;
}

function orderMaps(maps: readonly MapSpec[]): MapSpec[] {
  const declared = maps.filter((map) => !isDataMap(map));
  return [
    ...declared.map((map) => inMapsSection(map)),
    ...maps.filter((map) => isDataMap(map) && map.section !== kconfigSection),
    ...maps.filter((map) => map.section === kconfigSection),
  ];
}

function inMapsSection(map: MapSpec): MapSpec {
  if (map.section === mapsSection) return map;
  return {
    ...map,
    section: mapsSection,
    ...(map.inner === undefined ? {} : { inner: inMapsSection(map.inner) }),
  };
}

function orderVariables(
  variables: readonly VariableSpec[],
  sections: readonly string[],
): VariableSpec[] {
  const order = new Map(sections.map((name, index) => [name, index]));
  return [...variables].sort(
    (left, right) =>
      (order.get(left.section) ?? 0) - (order.get(right.section) ?? 0) ||
      left.offset - right.offset ||
      (left.name < right.name ? -1 : left.name > right.name ? 1 : 0),
  );
}

// Functions

function arrangeFunctions(functions: readonly FunctionSpec[]): FunctionSpec[] {
  const called = new Set(functions.flatMap((fn) => calleesOf(fn)));
  const copies = new Map<string, string>();
  const arranged: FunctionSpec[] = [];
  for (const fn of functions) {
    if (fn.section === textSection) arranged.push(fn);
    else if (!called.has(fn.name)) arranged.push({ ...fn, linkage: "global" });
    else if (fn.linkage === "static")
      arranged.push({ ...fn, section: textSection });
    else {
      const name = `${fn.name}.called`;
      copies.set(fn.name, name);
      arranged.push(fn);
      arranged.push({ ...fn, name, section: textSection, linkage: "static" });
    }
  }
  const sections = new Set(arranged.map(({ section }) => section));
  // Code that others call comes first, as compilers place it.
  const order = [textSection, ...sections].filter((name, index, all) => {
    return sections.has(name) && all.indexOf(name) === index;
  });
  return order.flatMap((section) =>
    arranged
      .filter((fn) => fn.section === section)
      .map((fn) => (copies.size === 0 ? fn : renameCalls(fn, copies))),
  );
}

function renameCalls(
  fn: FunctionSpec,
  names: ReadonlyMap<string, string>,
): FunctionSpec {
  const instructions = fn.instructions.map((instruction): Instruction => {
    if (instruction.kind === "call" && instruction.callee.kind === "function") {
      const name = names.get(instruction.callee.name);
      if (name === undefined) return instruction;
      return { ...instruction, callee: { kind: "function", name } };
    }
    if (
      instruction.kind === "load-wide" &&
      instruction.value.kind === "function"
    ) {
      const name = names.get(instruction.value.name);
      if (name === undefined) return instruction;
      return { ...instruction, value: { kind: "function", name } };
    }
    return instruction;
  });
  return { ...fn, instructions };
}

// BTF of maps

/** Place of a declared map in section `.maps`. */
export interface MapPlace {
  readonly offset: number;
  readonly size: number;
  /** Of the pointers of its static initialisers. */
  readonly valuesAt: number;
}

/** BTF in which `.maps` defines exactly `maps`; types are only appended. */
function describeMaps(
  btf: Btf | undefined,
  maps: readonly MapSpec[],
): Btf | undefined {
  const declared = maps.filter((map) => !isDataMap(map));
  if (declared.length === 0 && btf === undefined) return undefined;
  const builder = new BtfBuilder(btf ?? emptyBtf);
  const standing = variablesIn(builder.btf, mapsSection);
  const items: BtfSectionVariable[] = [];
  let end = 0;
  for (const map of declared) {
    const known = standing.get(map.name);
    const definition =
      known !== undefined && definesMap(builder.btf, known.type, map)
        ? known.type
        : defineMap(builder, map);
    const variable = {
      kind: "variable",
      name: map.name,
      type: definition,
      linkage: "global",
    } as const;
    if (known !== undefined) builder.replace(known.id, variable);
    const id = known?.id ?? builder.add(variable);
    const place = placeMap(builder.btf, map, definition, end);
    items.push({ type: id, offset: place.offset, size: place.size });
    end = place.offset + place.size;
  }
  const section = sectionOf(builder.btf, mapsSection);
  const described = {
    kind: "section",
    name: mapsSection,
    size: end,
    variables: items,
  } as const;
  if (items.length === 0) {
    // A section without variables is refused; its number must not move.
    if (section !== undefined) builder.erase(section.id);
  } else if (section === undefined) builder.add(described);
  else builder.replace(section.id, described);
  return builder.btf;
}

/** Where each declared map of a normalised object lies in `.maps`. */
export function placesOfMaps(object: ObjectSpec): Map<string, MapPlace> {
  const places = new Map<string, MapPlace>();
  if (object.btf === undefined) return places;
  const standing = variablesIn(object.btf, mapsSection);
  let end = 0;
  for (const map of object.maps) {
    const variable = standing.get(map.name);
    if (variable === undefined || isDataMap(map)) continue;
    const place = placeMap(object.btf, map, variable.type, end);
    places.set(map.name, place);
    end = place.offset + place.size;
  }
  return places;
}

function placeMap(
  btf: Btf,
  map: MapSpec,
  definition: number,
  end: number,
): MapPlace {
  const size = sizeOfType(btf, definition) ?? 0;
  const slots = (map.values ?? []).reduce(
    (most, { index }) => Math.max(most, index + 1),
    0,
  );
  const offset = Math.ceil(end / 8) * 8;
  const { valuesAt } =
    slots === 0
      ? { valuesAt: undefined }
      : parseMapDefinition(btf, definition, map.name);
  return { offset, size: size + 8 * slots, valuesAt: offset + (valuesAt ?? 0) };
}

function variablesIn(
  btf: Btf,
  section: string,
): Map<string, { readonly id: number; readonly type: number }> {
  const found = new Map<string, { id: number; type: number }>();
  for (const { type: id } of sectionOf(btf, section)?.section.variables ?? []) {
    const variable = btf.types[id];
    if (variable?.kind === "variable")
      found.set(variable.name, { id, type: variable.type });
  }
  return found;
}

/** Sizes of BTF sections follow what the sections hold now. */
function fitSections(btf: Btf, object: ObjectSpec): Btf {
  const sizes = new Map<string, number>();
  for (const { section, data } of object.maps)
    if (isDataSection(section)) sizes.set(section, data?.length ?? 0);
  const types = btf.types.map((type) => {
    const size = type.kind === "section" ? sizes.get(type.name) : undefined;
    return type.kind !== "section" || size === undefined
      ? type
      : { ...type, size };
  });
  return { types };
}
