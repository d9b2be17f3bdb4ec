/**
 * ObjectSpec → object file bytes: an ordinary ELF that bpftool, libbpf,
 * cilium/ebpf and aya load. The same specification gives the same bytes.
 *
 * Law: readObject(writeObject(x)) = normalise(x), notes aside; there it stands
 * what is rewritten on the way. DWARF, `.llvm_addrsig` and symbols of labels are
 * not kept.
 */
import { ByteWriter, InputError } from "../base/index.ts";
import { encode, slotOf, totalSlots, type MapSpec } from "../isa/index.ts";
import {
  writeBtfWithExt,
  type FunctionRecord,
  type LineRecord,
  type RelocationRecord,
} from "./btf-ext.ts";
import { isDataMap, kconfigSection } from "./data-sections.ts";
import { placesOfMaps } from "./describe-maps.ts";
import {
  binding,
  relocationType,
  sectionFlag,
  sectionType,
  symbolType,
} from "./elf.ts";
import {
  writeElf,
  type OutputRelocation,
  type OutputSection,
  type OutputSymbol,
} from "./elf-writer.ts";
import {
  layOutCode,
  linkCall,
  linkWide,
  placesOfVariables,
  type Layout,
} from "./link-out.ts";
import { mapsSection } from "./map-definition.ts";
import { normalise } from "./normalise.ts";
import type { ObjectSpec } from "./spec.ts";

export function writeObject(object: ObjectSpec): Uint8Array {
  const normal = normalise(object);
  const layout = layOutCode(normal);
  const sections = [
    ...codeSections(normal, layout),
    ...metaSections(normal),
    ...mapSections(normal),
    ...dataSections(normal),
    ...btfSections(normal, layout),
  ];
  return writeElf(sections, symbolsOf(normal, layout, sections));
}

const code = sectionFlag.alloc | sectionFlag.exec;
const data = sectionFlag.alloc | sectionFlag.write;

function section(
  name: string,
  flags: number,
  bytes: Uint8Array,
  options: Partial<OutputSection> = {},
): OutputSection {
  return {
    name,
    type: sectionType.progbits,
    flags,
    alignment: 8,
    bytes,
    size: bytes.length,
    relocations: [],
    ...options,
  };
}

function codeSections(object: ObjectSpec, layout: Layout): OutputSection[] {
  const places = placesOfVariables(object);
  return [...layout.sections].map(([name, functions]) => {
    const relocations: OutputRelocation[] = [];
    const out = new ByteWriter();
    for (const fn of functions) {
      const base = layout.offsets.get(fn.name) ?? 0;
      const patch = (slot: number, type: number, symbol: string): void => {
        relocations.push({ offset: base + 8 * slot, type, symbol });
      };
      out.raw(
        encode(fn.instructions, {
          wide: (value, _, slot) => {
            const { symbol, ...linked } = linkWide(value, layout, places);
            if (symbol !== undefined) patch(slot, relocationType.wide, symbol);
            return linked;
          },
          call: (callee, _, slot) => {
            const here = { section: name, offset: base + 8 * slot };
            const { symbol, ...linked } = linkCall(callee, layout, here);
            if (symbol !== undefined) patch(slot, relocationType.call, symbol);
            return linked;
          },
        }),
      );
    }
    return section(name, code, out.finish(), { relocations });
  });
}

function metaSections(object: ObjectSpec): OutputSection[] {
  const found: OutputSection[] = [];
  if (object.license !== "")
    found.push(
      section(
        "license",
        data,
        new ByteWriter().cString(object.license).finish(),
        { alignment: 1 },
      ),
    );
  if (object.kernelVersion !== undefined)
    found.push(
      section(
        "version",
        data,
        new ByteWriter().u32(object.kernelVersion).finish(),
        { alignment: 4 },
      ),
    );
  return found;
}

function mapSections(object: ObjectSpec): OutputSection[] {
  const places = placesOfMaps(object);
  const relocations: OutputRelocation[] = [];
  let end = 0;
  for (const map of object.maps) {
    const place = places.get(map.name);
    if (place === undefined) continue;
    end = place.offset + place.size;
    const values = [...(map.values ?? [])].sort((a, b) => a.index - b.index);
    for (const { index, target } of values)
      relocations.push({
        offset: place.valuesAt + 8 * index,
        type: relocationType.absolute64,
        symbol: `${target.kind === "map" ? "m" : "f"}:${target.name}`,
      });
  }
  if (end === 0) return [];
  return [section(mapsSection, data, new Uint8Array(end), { relocations })];
}

function dataSections(object: ObjectSpec): OutputSection[] {
  const maps = object.maps.filter(
    (map) => isDataMap(map) && map.section !== kconfigSection,
  );
  return [
    ...maps.map((map) => dataSection(map)),
    ...object.sections.map(({ name, writable, data: bytes }) =>
      section(name, writable ? data : sectionFlag.alloc, bytes),
    ),
  ];
}

function dataSection(map: MapSpec): OutputSection {
  const bytes = map.data ?? new Uint8Array(map.valueSize);
  if (!map.section.startsWith(".bss"))
    return section(map.section, map.readOnly ? sectionFlag.alloc : data, bytes);
  if (bytes.some((byte) => byte !== 0))
    throw new InputError(
      `section ${map.section} cannot hold anything but zeros; ${map.name} has other contents`,
      { code: "bss-not-zero" },
    );
  return section(map.section, data, new Uint8Array(0), {
    type: sectionType.nobits,
    size: bytes.length,
  });
}

function btfSections(object: ObjectSpec, layout: Layout): OutputSection[] {
  if (object.btf === undefined) return [];
  const functions = new Map<string, FunctionRecord[]>();
  const lines = new Map<string, LineRecord[]>();
  const relocations = new Map<string, RelocationRecord[]>();
  for (const [name, list] of layout.sections) {
    functions.set(name, []);
    lines.set(name, []);
    relocations.set(name, []);
    for (const fn of list) {
      const base = layout.offsets.get(fn.name) ?? 0;
      const slots = slotOf(fn.instructions);
      const offset = (at: number): number => base + 8 * (slots[at] ?? 0);
      if (fn.btfFunction !== undefined)
        functions.get(name)?.push({ offset: base, type: fn.btfFunction });
      for (const { at, ...line } of fn.lines)
        lines.get(name)?.push({ offset: offset(at), ...line });
      for (const { at, typeId, access, kind } of fn.coreRelocations)
        relocations
          .get(name)
          ?.push({ offset: offset(at), type: typeId, access, kind });
    }
  }
  const { btf, ext } = writeBtfWithExt(object.btf, {
    functions,
    lines,
    relocations,
  });
  const found = [section(".BTF", 0, btf, { alignment: 4 })];
  if (ext !== undefined)
    found.push(section(".BTF.ext", 0, ext, { alignment: 4 }));
  return found;
}

function symbolsOf(
  object: ObjectSpec,
  layout: Layout,
  sections: readonly OutputSection[],
): OutputSymbol[] {
  const symbols: OutputSymbol[] = [];
  const plain = {
    value: 0,
    size: 0,
    type: symbolType.object,
    binding: binding.global,
  };
  for (const { name, flags } of sections)
    if ((flags & sectionFlag.alloc) !== 0)
      symbols.push({
        ...plain,
        key: `s:${name}`,
        name,
        section: name,
        type: symbolType.section,
        binding: binding.local,
      });
  for (const fn of object.functions)
    symbols.push({
      key: `f:${fn.name}`,
      name: fn.name,
      section: fn.section,
      value: layout.offsets.get(fn.name) ?? 0,
      size: 8 * totalSlots(fn.instructions),
      type: symbolType.function,
      binding: fn.linkage === "global" ? binding.global : binding.local,
    });
  for (const [name, { offset, size }] of placesOfMaps(object))
    symbols.push({
      ...plain,
      key: `m:${name}`,
      name,
      section: mapsSection,
      value: offset,
      size,
    });
  for (const variable of object.variables)
    symbols.push({
      ...plain,
      key: `v:${variable.section}:${variable.offset}:${variable.name}`,
      name: variable.name,
      section: variable.section,
      value: variable.offset,
      size: variable.size,
      binding: variable.linkage === "global" ? binding.global : binding.local,
    });
  for (const [name, symbol] of [
    ["license", "_license"],
    ["version", "_version"],
  ] as const) {
    const size = sections.find((other) => other.name === name)?.size;
    if (size !== undefined)
      symbols.push({
        ...plain,
        key: `v:${name}`,
        name: symbol,
        section: name,
        size,
      });
  }
  for (const { name, weak } of object.externs)
    symbols.push({
      ...plain,
      key: `x:${name}`,
      name,
      section: undefined,
      type: symbolType.none,
      binding: weak ? binding.weak : binding.global,
    });
  return symbols;
}
