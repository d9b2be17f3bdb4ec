/**
 * Object file bytes → ObjectSpec. Pure: no kernel, no file system.
 *
 * Law: any bytes give a value or an InputError that names file and offset, in
 * time and memory linear in their number.
 */
import { ByteReader, InputError, type Diagnostic } from "../base/index.ts";
import type { FunctionSpec, MapSpec } from "../isa/index.ts";
import type { Btf } from "./btf.ts";
import { emptyBtfExt, readBtfExt, type BtfExt } from "./btf-ext.ts";
import {
  dataMap,
  dataSections,
  kconfigMap,
  kconfigSection,
  layOutKconfig,
  readVariables,
  sectionOf,
} from "./data-sections.ts";
import { readMaps } from "./declared-maps.ts";
import {
  binding,
  readElf,
  sectionFlag,
  sectionType,
  undefinedSection,
  type Elf,
  type ElfSection,
} from "./elf.ts";
import { debugOf, readFunctions } from "./functions.ts";
import { isLegacySection } from "./legacy-maps.ts";
import { createLinker } from "./link.ts";
import { mapsSection } from "./map-definition.ts";
import { entriesOf } from "./program.ts";
import { readBtfSection } from "./read-btf.ts";
import { fillSections, hideFunctions } from "./sections.ts";
import type { ExternSpec, ObjectSpec, RawSection } from "./spec.ts";

export function readObject(bytes: Uint8Array, file: string): ObjectSpec {
  try {
    // A plain view: subclasses (Buffer) share memory where copies are meant.
    return read(
      new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength),
      file,
    );
  } catch (error) {
    throw error instanceof InputError ? error.inFile(file) : error;
  }
}

function read(bytes: Uint8Array, file: string): ObjectSpec {
  const elf = readElf(bytes);
  const notes: Diagnostic[] = [];
  const placed = readFunctions(elf);
  const { btf: filled, ext } = readTypes(elf);
  const debug = filled === undefined ? [] : debugOf(placed, filled, ext);
  const hidden = placed.flatMap((fn, index) => {
    const id = debug[index]?.btfFunction;
    return fn.hidden && id !== undefined ? [id] : [];
  });
  const btf =
    filled === undefined ? undefined : hideFunctions(filled, new Set(hidden));

  const declared = readMaps(elf, btf, placed, notes);
  const data = dataSections(elf);
  uniqueNames(data);
  const known = readExterns(elf, btf);
  const linker = createLinker({
    elf,
    functions: placed,
    maps: declared,
    data: new Map(data.map((section) => [section.index, section])),
    externs: new Map(known.map((extern) => [extern.name, extern])),
  });
  const functions = placed.map((fn, index): FunctionSpec => ({
    name: fn.name,
    section: fn.section.name,
    linkage: fn.linkage,
    instructions: linker.link(fn),
    ...(debug[index] ?? { lines: [], coreRelocations: [] }),
  }));
  const externs = sortExterns([...known, ...linker.found.values()]);
  const kconfig = kconfigMap(externs, btf);
  const raw = rawSections(elf);
  noteRelocatedData(elf, [...data, ...raw], notes);
  const version = versionOf(elf);
  return {
    file,
    license: licenseOf(elf),
    ...(version === undefined ? {} : { kernelVersion: version }),
    maps: [
      ...declared.map(({ map }) => map),
      ...data.map((section) => dataMap(section, btf)),
      ...(kconfig === undefined ? [] : [kconfig]),
    ] satisfies MapSpec[],
    functions,
    programs: entriesOf(functions),
    ...(btf === undefined ? {} : { btf }),
    variables: readVariables(elf, [...data, ...raw]),
    externs,
    sections: raw.map((section): RawSection => ({
      name: section.name,
      writable: (section.flags & sectionFlag.write) !== 0,
      data: section.bytes.slice(),
    })),
    notes: [...notes, ...linker.notes],
  };
}

function readTypes(elf: Elf): { btf: Btf | undefined; ext: BtfExt } {
  const find = (name: string): ElfSection | undefined =>
    elf.sections.find(
      (section) =>
        section.name === name &&
        section.type === sectionType.progbits &&
        section.size > 0,
    );
  const section = find(".BTF");
  if (section === undefined) return { btf: undefined, ext: emptyBtfExt };
  const { btf, strings } = readBtfSection(section.bytes, section.offset);
  const extSection = find(".BTF.ext");
  return {
    btf: fillSections(btf, elf),
    ext:
      extSection === undefined
        ? emptyBtfExt
        : readBtfExt(extSection.bytes, strings, extSection.offset),
  };
}

/** Undefined symbols that BTF describes. */
function readExterns(elf: Elf, btf: Btf | undefined): ExternSpec[] {
  if (btf === undefined) return [];
  const symbols = elf.symbols.filter(
    ({ section, name, binding: how }) =>
      section === undefinedSection && name !== "" && how !== binding.local,
  );
  const weak = new Map(
    symbols.map((symbol) => [symbol.name, symbol.binding === binding.weak]),
  );
  const kernel = (sectionOf(btf, ".ksyms")?.section.variables ?? []).flatMap(
    (item): ExternSpec[] => {
      const type = btf.types[item.type];
      if (type?.kind !== "variable" && type?.kind !== "function") return [];
      const { kind, name } = type;
      return [{ kind, name, weak: weak.get(name) ?? false }];
    },
  );
  const named = [...weak].map(([name, isWeak]) => ({ name, weak: isWeak }));
  return [...layOutKconfig(btf, named), ...kernel];
}

function sortExterns(externs: readonly ExternSpec[]): ExternSpec[] {
  const rest = externs.filter(({ kind }) => kind !== "kconfig");
  rest.sort((left, right) => (left.name < right.name ? -1 : 1));
  return [...externs.filter(({ kind }) => kind === "kconfig"), ...rest];
}

function uniqueNames(sections: readonly ElfSection[]): void {
  const names = new Set<string>();
  for (const { name, offset } of sections) {
    if (names.has(name))
      throw new InputError(`two sections are called ${name}`, {
        code: "elf-section-name",
        offset,
      });
    names.add(name);
  }
}

/** Sections with data that nothing here gives a meaning to. */
function rawSections(elf: Elf): ElfSection[] {
  const known = new Set(["license", "version", mapsSection, kconfigSection]);
  const data = new Set(dataSections(elf));
  const raw = elf.sections.filter(
    (section) =>
      section.type === sectionType.progbits &&
      (section.flags & sectionFlag.alloc) !== 0 &&
      (section.flags & sectionFlag.exec) === 0 &&
      section.size > 0 &&
      !data.has(section) &&
      !known.has(section.name) &&
      !isLegacySection(section.name) &&
      !/^\.(BTF|debug|eh_frame|rel|note|llvm)/.test(section.name),
  );
  uniqueNames(raw);
  return raw;
}

function noteRelocatedData(
  elf: Elf,
  sections: readonly ElfSection[],
  notes: Diagnostic[],
): void {
  for (const { name, index } of sections)
    if (elf.relocations.has(index))
      notes.push({
        code: "data-relocation",
        severity: "warning",
        message: `section ${name} holds addresses; loaders leave them zero`,
      });
}

function licenseOf(elf: Elf): string {
  const section = elf.sections.find(({ name }) => name === "license");
  if (section === undefined) return "";
  const end = section.bytes.indexOf(0);
  const bytes = section.bytes.subarray(0, end < 0 ? undefined : end);
  return new TextDecoder().decode(bytes.subarray(0, 256));
}

function versionOf(elf: Elf): number | undefined {
  const section = elf.sections.find(({ name }) => name === "version");
  if (section === undefined || section.bytes.length < 4) return undefined;
  return new ByteReader(section.bytes).u32(0);
}
