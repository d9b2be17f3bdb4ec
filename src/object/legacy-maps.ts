/**
 * Maps of `maps` sections: an array of `struct bpf_map_def`, one per symbol.
 *
 *     word  0 type  1 key size  2 value size  3 max entries  4 flags
 *     tail, by loader: kernel samples  5 inner map's index  6 NUMA node
 *                      iproute2        5 id  6 pinning  7 inner id  8 inner index
 *
 * Sources: libbpf 0.x `struct bpf_map_def`; kernel samples/bpf/bpf_load.h (4.12);
 * iproute2 include/bpf_elf.h. Each loader had its own tail, so a tail is used
 * only to find the inner map of a map of maps, and is otherwise a note.
 */
import { ByteReader, InputError, type Diagnostic } from "../base/index.ts";
import { mapTypeByNumber, mapTypeRow, type MapSpec } from "../isa/index.ts";
import type { Btf } from "./btf.ts";
import {
  symbolType,
  type Elf,
  type ElfSection,
  type ElfSymbol,
} from "./elf.ts";
import { readOnlyProgram, typed } from "./map-definition.ts";

export interface PlacedMap {
  readonly map: MapSpec;
  /** Index of its section, offset and size in it. */
  readonly section: number;
  readonly offset: number;
  readonly size: number;
}

/** Most maps in one section that we read; the largest object known has 69. */
export const mostMaps = 4096;

export function isLegacySection(name: string): boolean {
  return name === "maps" || name.startsWith("maps/");
}

/** Maps of one legacy section, in the order of their offsets. */
export function readLegacyMaps(
  elf: Elf,
  section: ElfSection,
  btf: Btf | undefined,
  notes: Diagnostic[],
): PlacedMap[] {
  const reader = new ByteReader(section.bytes, {
    what: `section ${section.name}`,
    origin: section.offset,
  });
  const symbols = elf.symbols
    .filter(
      ({ section: at, type }) =>
        at === section.index &&
        (type === symbolType.object || type === symbolType.none),
    )
    .sort((left, right) => left.value - right.value);
  if (symbols.length > mostMaps)
    throw new InputError(
      `section ${section.name}: more than ${mostMaps} maps`,
      {
        code: "map-count",
        offset: section.offset,
      },
    );
  const pairs = annotations(btf);
  const placed = symbols.map((symbol, index): PlacedMap => {
    const next = symbols[index + 1]?.value ?? section.size;
    const size = symbol.size > 0 ? symbol.size : next - symbol.value;
    if (size < 16)
      throw new InputError(
        `map ${symbol.name}: a definition of ${size} bytes`,
        { code: "map-definition", offset: section.offset + symbol.value },
      );
    const words = reader.slice(symbol.value, size, `map ${symbol.name}`);
    return {
      map: {
        ...readDefinition(words, symbol, section.name),
        ...annotated(btf, pairs.get(symbol.name)),
      },
      section: section.index,
      offset: symbol.value,
      size,
    };
  });
  return placed.map((entry) => withInner(entry, placed, reader, notes));
}

function readDefinition(
  words: ByteReader,
  symbol: ElfSymbol,
  section: string,
): MapSpec {
  const number = words.u32(0);
  const type = mapTypeByNumber(number);
  if (type === undefined)
    throw new InputError(`map ${symbol.name}: unknown map type ${number}`, {
      code: "map-definition",
      offset: words.origin,
    });
  const flags = words.length >= 20 ? words.u32(16) : 0;
  return {
    name: symbol.name,
    type,
    keySize: words.u32(4),
    valueSize: words.u32(8),
    maxEntries: words.u32(12),
    flags,
    section,
    readOnly: (flags & readOnlyProgram) !== 0,
  };
}

/** BPF_ANNOTATE_KV_PAIR: a struct `____btf_map_NAME` with members key and value. */
function annotations(
  btf: Btf | undefined,
): Map<string, readonly [key: number, value: number]> {
  const prefix = "____btf_map_";
  const found = new Map<string, readonly [number, number]>();
  for (const type of btf?.types ?? []) {
    if (type.kind !== "struct" || !type.name.startsWith(prefix)) continue;
    const [key, value] = type.members;
    if (key !== undefined && value !== undefined)
      found.set(type.name.slice(prefix.length), [key.type, value.type]);
  }
  return found;
}

function annotated(
  btf: Btf | undefined,
  pair: readonly [key: number, value: number] | undefined,
): Partial<MapSpec> {
  if (btf === undefined || pair === undefined) return {};
  return { ...typed(btf, "key", pair[0]), ...typed(btf, "value", pair[1]) };
}

function withInner(
  entry: PlacedMap,
  all: readonly PlacedMap[],
  reader: ByteReader,
  notes: Diagnostic[],
): PlacedMap {
  const { map, offset, size } = entry;
  const word = (of: PlacedMap, index: number): number =>
    4 * index + 4 <= of.size ? reader.u32(of.offset + 4 * index) : 0;
  if (mapTypeRow(map.type).ofMaps !== true) {
    const tail = reader.bytes.subarray(offset + 20, offset + size);
    if (tail.some((byte) => byte !== 0))
      notes.push({
        code: "map-definition-tail",
        severity: "note",
        message: `map ${map.name}: fields after the flags are not used`,
      });
    return entry;
  }
  const inner =
    size >= 36
      ? all.find(
          (other) => other !== entry && word(other, 5) === word(entry, 7),
        )
      : all[word(entry, 5)];
  if (
    size < 24 ||
    inner === undefined ||
    inner === entry ||
    mapTypeRow(inner.map.type).ofMaps === true
  ) {
    notes.push({
      code: "map-inner-missing",
      severity: "warning",
      message: `map ${map.name}: it does not say what maps it holds`,
    });
    return entry;
  }
  const template = {
    ...inner.map,
    name: `${map.name}.inner`,
    section: map.section,
  };
  return { ...entry, map: { ...map, inner: template } };
}
