/**
 * The maps of an object in its BTF: variables of section `.maps`, whose types
 * say what is wanted. Types are only appended; a variable and the section
 * describe one symbol each and are therefore rewritten.
 */
import type { MapSpec } from "../isa/index.ts";
import { emptyBtf, type Btf, type BtfSectionVariable } from "./btf.ts";
import { isDataMap, sectionOf } from "./data-sections.ts";
import { BtfBuilder, defineMap, definesMap } from "./define-map.ts";
import { mapsSection, parseMapDefinition } from "./map-definition.ts";
import { sizeOfType } from "./resolve.ts";
import type { ObjectSpec } from "./spec.ts";

/** Place of a declared map in section `.maps`. */
export interface MapPlace {
  readonly offset: number;
  readonly size: number;
  /** Of the pointers of its static initialisers. */
  readonly valuesAt: number;
}

/** BTF in which `.maps` defines exactly `maps`; types are only appended. */
export function describeMaps(
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
