/**
 * Global variables: `.data*`, `.rodata*`, `.bss*` and `.kconfig` stand for array
 * maps of one value, as libbpf makes them.
 */
import { InputError } from "../base/index.ts";
import type { MapSpec } from "../isa/index.ts";
import type { Btf, BtfType } from "./btf.ts";
import {
  sectionFlag,
  sectionType,
  symbolType,
  type Elf,
  type ElfSection,
} from "./elf.ts";
import { sectionLayout } from "./layout.ts";
import { mmapable, readOnlyProgram } from "./map-definition.ts";
import { resolveType, sizeOfType } from "./resolve.ts";
import type { ExternSpec, VariableSpec } from "./spec.ts";

export const kconfigSection = ".kconfig";
/** More than this no kernel array holds on small machines; and a limit for hostile files. */
const largest = 64 * 1024 * 1024;

export function isDataSection(name: string): boolean {
  return /^\.(data|rodata|bss)(\.|$)/.test(name);
}

/** A map that stands for a section of global variables. */
export function isDataMap(map: MapSpec): boolean {
  return isDataSection(map.section) || map.section === kconfigSection;
}

/** Sections of the file that hold global variables. */
export function dataSections(elf: Elf): ElfSection[] {
  return elf.sections.filter(
    ({ name, type, flags, size }) =>
      isDataSection(name) &&
      (type === sectionType.progbits || type === sectionType.nobits) &&
      (flags & sectionFlag.alloc) !== 0 &&
      size > 0,
  );
}

/** The array map that section `section` stands for. */
export function dataMap(section: ElfSection, btf: Btf | undefined): MapSpec {
  if (section.size > largest)
    throw new InputError(
      `section ${section.name} has ${section.size} bytes; at most ${largest} are supported`,
      { code: "section-too-large", offset: section.offset },
    );
  const data = new Uint8Array(section.size);
  data.set(section.bytes);
  return implied(section.name, data, btf);
}

/** The read-only array that fillKconfig fills; without contents until then. */
export function kconfigMap(
  externs: readonly ExternSpec[],
  btf: Btf | undefined,
): MapSpec | undefined {
  const values = externs.filter((extern) => extern.kind === "kconfig");
  if (values.length === 0) return undefined;
  const size = values.reduce(
    (end, value) => Math.max(end, value.offset + value.size),
    0,
  );
  const { data: _, ...map } = implied(
    kconfigSection,
    new Uint8Array(size),
    btf,
  );
  return map;
}

/** The map that a data section of these contents implies. */
export function implied(
  name: string,
  data: Uint8Array,
  btf: Btf | undefined,
): MapSpec {
  const readOnly = name.startsWith(".rodata") || name === kconfigSection;
  const type = btf === undefined ? undefined : sectionOf(btf, name);
  const fields =
    btf === undefined || type === undefined || name === kconfigSection
      ? undefined
      : sectionLayout(btf, type.section);
  return {
    name,
    type: "array",
    keySize: 4,
    valueSize: data.length,
    maxEntries: 1,
    flags:
      (readOnly ? readOnlyProgram : 0) |
      (isMmapable(btf, type?.section) ? mmapable : 0),
    section: name,
    data,
    readOnly,
    ...(fields === undefined ? {} : { valueFields: fields }),
    ...(type === undefined || name === kconfigSection
      ? {}
      : { btfValue: type.id }),
  };
}

/** As libbpf: user space may map a section that has a global variable. */
function isMmapable(
  btf: Btf | undefined,
  section: Extract<BtfType, { kind: "section" }> | undefined,
): boolean {
  return (
    section?.variables.some((item) => {
      const variable = btf?.types[item.type];
      return variable?.kind === "variable" && variable.linkage !== "static";
    }) ?? false
  );
}

/** The BTF description of section `name`. */
export function sectionOf(
  btf: Btf,
  name: string,
):
  | {
      readonly id: number;
      readonly section: Extract<BtfType, { kind: "section" }>;
    }
  | undefined {
  for (const [id, type] of btf.types.entries())
    if (type.kind === "section" && type.name === name)
      return { id, section: type };
  return undefined;
}

/** Named places of these sections, by section and offset. */
export function readVariables(
  elf: Elf,
  sections: readonly ElfSection[],
): VariableSpec[] {
  const names = new Map(sections.map(({ index, name }) => [index, name]));
  const found: VariableSpec[] = [];
  for (const symbol of elf.symbols) {
    const section = names.get(symbol.section);
    if (symbol.type !== symbolType.object || section === undefined) continue;
    found.push({
      name: symbol.name,
      section,
      offset: symbol.value,
      size: symbol.size,
      linkage: symbol.binding === 0 ? "static" : "global",
    });
  }
  const order = new Map(sections.map(({ name }, index) => [name, index]));
  return found.sort(
    (left, right) =>
      (order.get(left.section) ?? 0) - (order.get(right.section) ?? 0) ||
      left.offset - right.offset ||
      (left.name < right.name ? -1 : left.name > right.name ? 1 : 0),
  );
}

/**
 * Values of the kernel's configuration, laid out as libbpf does: largest
 * alignment first, then smallest size, then by name.
 */
export function layOutKconfig(
  btf: Btf,
  symbols: readonly { readonly name: string; readonly weak: boolean }[],
): ExternSpec[] {
  const section = sectionOf(btf, kconfigSection)?.section;
  const types = new Map<string, number>();
  for (const item of section?.variables ?? []) {
    const variable = btf.types[item.type];
    if (variable?.kind === "variable") types.set(variable.name, variable.type);
  }
  const values = symbols.flatMap((symbol) => {
    const id = types.get(symbol.name);
    if (id === undefined) return [];
    const size = sizeOfType(btf, id) ?? 0;
    if (size === 0 || size > 4096)
      throw new InputError(`extern ${symbol.name}: ${size} bytes`, {
        code: "kconfig-size",
      });
    return [{ ...symbol, size, alignment: alignmentOf(btf, id, size) }];
  });
  values.sort(
    (left, right) =>
      right.alignment - left.alignment ||
      left.size - right.size ||
      (left.name < right.name ? -1 : 1),
  );
  let end = 0;
  return values.map(({ name, weak, size, alignment }) => {
    const offset = Math.ceil(end / alignment) * alignment;
    end = offset + size;
    return { kind: "kconfig", name, weak, offset, size };
  });
}

function alignmentOf(btf: Btf, id: number, size: number): number {
  const { type } = resolveType(btf, id);
  const element =
    type.kind === "array" ? (sizeOfType(btf, type.type) ?? 1) : size;
  return element >= 8 ? 8 : element >= 4 ? 4 : element >= 2 ? 2 : 1;
}
