/**
 * The maps that a file declares: section `.maps` by its BTF, `maps` sections by
 * their bytes, and which maps and programs stand in them from the start.
 */
import { InputError, type Diagnostic } from "../base/index.ts";
import type { MapSpec } from "../isa/index.ts";
import type { Btf } from "./btf.ts";
import { sectionOf } from "./data-sections.ts";
import {
  relocationsOf,
  relocationType,
  sectionType,
  type Elf,
  type ElfSection,
} from "./elf.ts";
import type { PlacedFunction } from "./functions.ts";
import {
  isLegacySection,
  mostMaps,
  readLegacyMaps,
  type PlacedMap,
} from "./legacy-maps.ts";
import { mapsSection, parseMapDefinition } from "./map-definition.ts";
import { sizeOfType } from "./resolve.ts";

interface DefinedMap extends PlacedMap {
  readonly valuesAt?: number;
}

export function readMaps(
  elf: Elf,
  btf: Btf | undefined,
  functions: readonly PlacedFunction[],
  notes: Diagnostic[],
): PlacedMap[] {
  const found: PlacedMap[] = [];
  for (const section of elf.sections) {
    if (section.type !== sectionType.progbits || section.size === 0) continue;
    if (section.name === mapsSection)
      found.push(...readDefined(elf, section, btf, functions, notes));
    else if (isLegacySection(section.name))
      found.push(...readLegacyMaps(elf, section, btf, notes));
  }
  const names = new Set<string>();
  for (const { map } of found) {
    if (map.name === "" || names.has(map.name))
      throw new InputError(`two maps are called \`${map.name}\``, {
        code: "map-name",
      });
    names.add(map.name);
  }
  return found;
}

function readDefined(
  elf: Elf,
  section: ElfSection,
  btf: Btf | undefined,
  functions: readonly PlacedFunction[],
  notes: Diagnostic[],
): PlacedMap[] {
  const described =
    btf === undefined ? undefined : sectionOf(btf, mapsSection)?.section;
  if (btf === undefined || described === undefined)
    throw new InputError("section .maps without BTF that defines the maps", {
      code: "map-definition",
      offset: section.offset,
      fix: "compile with -g",
    });
  if (described.variables.length > mostMaps)
    throw new InputError(`more than ${mostMaps} maps`, {
      code: "map-count",
      offset: section.offset,
    });
  const maps = described.variables.map((item): DefinedMap => {
    const variable = btf.types[item.type];
    if (variable?.kind !== "variable" || item.offset + item.size > section.size)
      throw new InputError(
        `section .maps: BTF type ${item.type} is no variable in it`,
        { code: "map-definition", offset: section.offset },
      );
    const size = sizeOfType(btf, variable.type) ?? 0;
    if (size === 0 || size > item.size)
      throw new InputError(
        `map ${variable.name}: a definition of ${size} bytes in a variable of ${item.size}`,
        { code: "map-definition", offset: section.offset + item.offset },
      );
    const parsed = parseMapDefinition(btf, variable.type, variable.name);
    for (const name of parsed.unknown)
      notes.push({
        code: "map-definition-member",
        severity: "note",
        message: `map ${variable.name}: member \`${name}\` of its definition is unknown`,
      });
    return {
      map: parsed.map,
      section: section.index,
      offset: item.offset,
      size: item.size,
      ...(parsed.valuesAt === undefined ? {} : { valuesAt: parsed.valuesAt }),
    };
  });
  return withValues(elf, section, maps, functions);
}

/** Static initialisers: pointers in the definitions, to maps and functions. */
function withValues(
  elf: Elf,
  section: ElfSection,
  maps: readonly DefinedMap[],
  functions: readonly PlacedFunction[],
): PlacedMap[] {
  const places = new Map<string, string>();
  for (const fn of functions)
    places.set(`${fn.section.index}:${fn.start}`, fn.name);
  const starts = new Map(maps.map(({ offset, map }) => [offset, map.name]));
  const sorted = [...maps].sort((left, right) => left.offset - right.offset);
  const values = new Map<
    string,
    { index: number; target: { kind: "map" | "function"; name: string } }[]
  >();
  const relocations = [...relocationsOf(elf, section.index)].sort(
    (left, right) => left.offset - right.offset,
  );
  let at = 0;
  for (const relocation of relocations) {
    const { symbol, offset } = relocation;
    while ((sorted[at]?.offset ?? 0) + (sorted[at]?.size ?? Infinity) <= offset)
      at++;
    const holder = sorted[at];
    const start = (holder?.offset ?? 0) + (holder?.valuesAt ?? 0);
    const index = (offset - start) / 8;
    const value = symbol.value + relocation.addend;
    const map =
      symbol.section === section.index ? starts.get(value) : undefined;
    const name = map ?? places.get(`${symbol.section}:${value}`);
    if (
      holder?.valuesAt === undefined ||
      name === undefined ||
      index < 0 ||
      !Number.isInteger(index) ||
      relocation.type !== relocationType.absolute64
    )
      throw new InputError(
        `section .maps: the relocation against \`${symbol.name}\` initialises no map`,
        { code: "relocation", offset: relocation.at },
      );
    const list = values.get(holder.map.name) ?? [];
    list.push({
      index,
      target: { kind: map === undefined ? "function" : "map", name },
    });
    values.set(holder.map.name, list);
  }
  return sorted.map(({ map, section: index, offset, size }) => {
    const list = values.get(map.name);
    const filled: MapSpec = list === undefined ? map : { ...map, values: list };
    return { map: filled, section: index, offset, size };
  });
}
