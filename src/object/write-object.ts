/**
 * ObjectSpec → object file bytes: an ordinary ELF that bpftool, libbpf,
 * cilium/ebpf and aya load. The same specification gives the same bytes.
 *
 * Law: readObject(writeObject(x)) = normalise(x), notes aside; there it stands
 * what is rewritten on the way. DWARF, `.llvm_addrsig` and symbols of labels are
 * not kept.
 *
 * Symbols that relocations name, by key: `f:` function, `m:` map, `s:` section,
 * `v:` variable, `x:` extern. As compilers do it, global symbols are named
 * themselves, local ones by their section and an offset.
 */
import { ByteWriter, InputError } from "../base/index.ts";
import {
  encode,
  slotOf,
  totalSlots,
  type Callee,
  type FunctionSpec,
  type MapSpec,
  type WideValue,
} from "../isa/index.ts";
import {
  writeBtfWithExt,
  type FunctionRecord,
  type LineRecord,
  type RelocationRecord,
} from "./btf-ext.ts";
import { kconfigSection } from "./data-sections.ts";
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
import { mapsSection } from "./map-definition.ts";
import { isDataMap, normalise, placesOfMaps } from "./normalise.ts";
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

interface Layout {
  /** Functions by section, in order. */
  readonly sections: ReadonlyMap<string, readonly FunctionSpec[]>;
  /** Offset of each function in its section, in bytes. */
  readonly offsets: ReadonlyMap<string, number>;
  readonly functions: ReadonlyMap<string, FunctionSpec>;
}

function layOutCode(object: ObjectSpec): Layout {
  const sections = new Map<string, FunctionSpec[]>();
  const offsets = new Map<string, number>();
  const ends = new Map<string, number>();
  for (const fn of object.functions) {
    const list = sections.get(fn.section) ?? [];
    list.push(fn);
    sections.set(fn.section, list);
    const offset = ends.get(fn.section) ?? 0;
    offsets.set(fn.name, offset);
    ends.set(fn.section, offset + 8 * totalSlots(fn.instructions));
  }
  const functions = new Map(object.functions.map((fn) => [fn.name, fn]));
  return { sections, offsets, functions };
}

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

interface LinkedWide {
  readonly symbol?: string;
  readonly pseudo: number;
  readonly low: number;
  readonly high: number;
}

function linkWide(
  value: WideValue,
  layout: Layout,
  places: ReadonlyMap<string, string>,
): LinkedWide {
  const to = (symbol: string, low = 0): LinkedWide => ({
    symbol,
    pseudo: 0,
    low,
    high: 0,
  });
  switch (value.kind) {
    case "map":
      return to(`m:${value.map}`);
    case "map-value": {
      const symbol = places.get(`${value.map}:${value.offset}`);
      if (symbol !== undefined) return to(symbol);
      return to(`s:${value.map}`, value.offset);
    }
    case "function": {
      const fn = functionNamed(layout, value.name);
      return fn.linkage === "global"
        ? to(`f:${fn.name}`)
        : to(`s:${fn.section}`, layout.offsets.get(fn.name) ?? 0);
    }
    case "kernel-symbol":
      return to(`x:${value.name}`);
    case "raw":
      return { pseudo: value.pseudo, low: value.low, high: value.high };
    case "number":
      return {
        pseudo: 0,
        low: Number(value.value & 0xffff_ffffn),
        high: Number((value.value >> 32n) & 0xffff_ffffn),
      };
  }
}

interface LinkedCall {
  readonly symbol?: string;
  readonly pseudo: number;
  readonly value: number;
  readonly offset?: number;
}

function linkCall(
  callee: Callee,
  layout: Layout,
  here: { readonly section: string; readonly offset: number },
): LinkedCall {
  switch (callee.kind) {
    case "helper":
      return { pseudo: 0, value: callee.helper };
    case "kfunc":
      return { symbol: `x:${callee.name}`, pseudo: 1, value: -1 };
    case "raw":
      return {
        pseudo: callee.pseudo,
        value: callee.value,
        offset: callee.offset ?? 0,
      };
    case "function": {
      const fn = functionNamed(layout, callee.name);
      const target = layout.offsets.get(fn.name) ?? 0;
      if (fn.section === here.section)
        return { pseudo: 1, value: (target - here.offset) / 8 - 1 };
      return fn.linkage === "global"
        ? { symbol: `f:${fn.name}`, pseudo: 1, value: -1 }
        : { symbol: `s:${fn.section}`, pseudo: 1, value: target / 8 - 1 };
    }
  }
}

function functionNamed(layout: Layout, name: string): FunctionSpec {
  const fn = layout.functions.get(name);
  if (fn !== undefined) return fn;
  throw new InputError(`function ${name} is called, but not in the object`, {
    code: "function-missing",
  });
}

/** Symbols that name a place in a data section themselves, by `section:offset`. */
function placesOfVariables(object: ObjectSpec): Map<string, string> {
  const places = new Map<string, string>();
  for (const variable of object.variables)
    if (variable.linkage === "global")
      places.set(
        `${variable.section}:${variable.offset}`,
        `v:${variable.section}:${variable.offset}:${variable.name}`,
      );
  for (const extern of object.externs)
    if (extern.kind === "kconfig")
      places.set(`${kconfigSection}:${extern.offset}`, `x:${extern.name}`);
  return places;
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
