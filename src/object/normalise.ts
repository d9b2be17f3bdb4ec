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
 * - Where some functions have BTF and source lines, all get them, from the first
 *   instruction on: the kernel takes all or none.
 */
import type { MapSpec } from "../isa/index.ts";
import { arrangeFunctions, completeDebug } from "./arrange-functions.ts";
import type { Btf } from "./btf.ts";
import { isDataMap, isDataSection, kconfigSection } from "./data-sections.ts";
import { describeMaps } from "./describe-maps.ts";
import { mapsSection } from "./map-definition.ts";
import { entriesOf } from "./program.ts";
import type { ObjectSpec, VariableSpec } from "./spec.ts";

export function normalise(object: ObjectSpec): ObjectSpec {
  const maps = orderMaps(object.maps);
  const arranged = arrangeFunctions(object.functions);
  const { btf, functions } = completeDebug(
    describeMaps(object.btf, maps),
    arranged,
  );
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
