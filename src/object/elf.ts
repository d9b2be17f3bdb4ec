/**
 * ELF64 little-endian relocatable files for machine BPF: bytes → sections,
 * symbols, relocations. Says nothing about what the sections mean.
 *
 * Law: every count is checked against the file before anything is allocated, and
 * section contents never overlap, so work is linear in the file's size.
 *
 * Source: System V ABI (gABI) chapter 4; kernel Documentation/bpf/llvm_reloc.rst.
 */
import { ByteReader, InputError } from "../base/index.ts";
import { StringTable } from "./strings.ts";

export const sectionType = {
  progbits: 1,
  symtab: 2,
  strtab: 3,
  rela: 4,
  nobits: 8,
  rel: 9,
} as const;
export const sectionFlag = { write: 1, alloc: 2, exec: 4 } as const;
export const symbolType = { none: 0, object: 1, function: 2, section: 3 };
export const binding = { local: 0, global: 1, weak: 2 } as const;
export const undefinedSection = 0;

export const relocationType = {
  /** 64-bit immediate of `lddw`. */
  wide: 1,
  /** A 64-bit pointer in data. */
  absolute64: 2,
  absolute32: 3,
  /** Offsets in .BTF and .BTF.ext. */
  noDynamic32: 4,
  /** Immediate of a call, in instructions. */
  call: 10,
} as const;

export interface ElfSection {
  readonly index: number;
  readonly name: string;
  readonly type: number;
  readonly flags: number;
  /** In the file, for messages. */
  readonly offset: number;
  readonly size: number;
  readonly link: number;
  readonly info: number;
  /** Empty for sections without contents (.bss). */
  readonly bytes: Uint8Array;
}

export interface ElfSymbol {
  readonly name: string;
  readonly value: number;
  readonly size: number;
  readonly type: number;
  readonly binding: number;
  /** Not to be seen from outside: libbpf takes such functions as static. */
  readonly hidden: boolean;
  /** Section index; 0 = undefined, values above 0xff00 are reserved. */
  readonly section: number;
}

export interface ElfRelocation {
  /** In the section that is patched. */
  readonly offset: number;
  readonly type: number;
  readonly symbol: ElfSymbol;
  readonly addend: number;
  /** Of the record in the file, for messages. */
  readonly at: number;
}

export interface Elf {
  readonly sections: readonly ElfSection[];
  readonly symbols: readonly ElfSymbol[];
  /** Sections of relocations by the section that they patch. */
  readonly relocations: ReadonlyMap<number, readonly ElfSection[]>;
}

const headerSize = 64;
const sectionHeaderSize = 64;
const symbolSize = 24;
const machineBpf = 247;

export function readElf(bytes: Uint8Array): Elf {
  const header = new ByteReader(bytes, { what: "ELF header" });
  checkIdentity(header);
  const sections = readSections(header);
  const relocations = new Map<number, ElfSection[]>();
  for (const section of sections) {
    if (section.type !== sectionType.rel && section.type !== sectionType.rela)
      continue;
    const list = relocations.get(section.info);
    if (list === undefined) relocations.set(section.info, [section]);
    else list.push(section);
  }
  return { sections, symbols: readSymbols(sections), relocations };
}

/** Relocations that patch section `target`, in file order. */
export function relocationsOf(
  elf: Elf,
  target: number,
): readonly ElfRelocation[] {
  const found: ElfRelocation[] = [];
  for (const section of elf.relocations.get(target) ?? []) {
    const withAddend = section.type === sectionType.rela;
    const reader = readerOf(section);
    const step = withAddend ? 24 : 16;
    for (let at = 0; at + step <= section.size; at += step) {
      const info = reader.u64(at + 8);
      const symbol = elf.symbols[Number(info >> 32n)];
      if (symbol === undefined)
        throw new InputError(
          `${section.name}: relocation against symbol ${info >> 32n}, but there are ${elf.symbols.length}`,
          { code: "elf-symbol-missing", offset: section.offset + at },
        );
      found.push({
        offset: reader.size64(at),
        type: Number(info & 0xffffffffn),
        symbol,
        addend: withAddend ? Number(BigInt.asIntN(64, reader.u64(at + 16))) : 0,
        at: section.offset + at,
      });
    }
  }
  return found;
}

export function readerOf(section: ElfSection): ByteReader {
  return new ByteReader(section.bytes, {
    what: `section ${section.name}`,
    origin: section.offset,
  });
}

function checkIdentity(header: ByteReader): void {
  const fault = (code: string, offset: number, text: string): InputError =>
    new InputError(text, { code, offset });
  if (header.length < 4 || header.u32(0) !== 0x464c457f)
    throw fault("elf-magic", 0, "this is no ELF object file");
  header.need(0, headerSize);
  if (header.u8(4) !== 2)
    throw fault("elf-class", 4, "ELF: a 64-bit object is expected");
  if (header.u8(5) === 2)
    throw new InputError(
      "ELF: this object is big-endian; only little-endian BPF is supported",
      {
        code: "elf-big-endian",
        offset: 5,
        fix: "compile with -target bpfel",
      },
    );
  if (header.u8(5) !== 1)
    throw fault("elf-endianness", 5, "ELF: unknown byte order");
  const type = header.u16(16);
  if (type !== 1)
    throw fault(
      "elf-type",
      16,
      `ELF: a relocatable object (type 1) is expected, not type ${type}`,
    );
  const machine = header.u16(18);
  // Compilers before LLVM 3.9 wrote machine 0.
  if (machine !== machineBpf && machine !== 0)
    throw new InputError(
      `ELF: machine BPF (${machineBpf}) is expected, not ${machine}`,
      { code: "elf-machine", offset: 18, fix: "compile with -target bpf" },
    );
}

function readSections(header: ByteReader): ElfSection[] {
  const start = header.size64(40);
  const entry = header.u16(58);
  let count = header.u16(60);
  let names = header.u16(62);
  if (start === 0) return [];
  if (entry !== sectionHeaderSize)
    throw new InputError(`ELF: section headers of ${entry} bytes`, {
      code: "elf-section-header",
      offset: 58,
    });
  const cut = (what: string, offset: number, size: number): void => {
    if (offset + size <= header.length) return;
    throw new InputError(
      `${what} (${size} bytes) leaves the file's ${header.length} bytes: the file is cut off`,
      { code: "truncated", offset },
    );
  };
  cut(
    "the section header table",
    start,
    Math.max(count, 1) * sectionHeaderSize,
  );
  const first = header.slice(start, sectionHeaderSize, "ELF section headers");
  if (count === 0) count = first.size64(32);
  if (names === 0xffff) names = first.u32(40);
  cut("the section header table", start, count * sectionHeaderSize);
  const table = header.slice(
    start,
    count * sectionHeaderSize,
    "ELF section headers",
  );

  const raw: (Omit<ElfSection, "name"> & { readonly nameAt: number })[] = [];
  let total = 0;
  for (let index = 0; index < count; index++) {
    const at = index * sectionHeaderSize;
    const type = table.u32(at + 4);
    const offset = table.size64(at + 24);
    const size = table.size64(at + 32);
    const hasBytes = type !== 0 && type !== sectionType.nobits;
    if (hasBytes) {
      cut(`section ${index}`, offset, size);
      total += size;
    }
    if (total > header.length)
      throw new InputError(`ELF: section ${index} overlaps others`, {
        code: "elf-sections-overlap",
        offset: start + at,
      });
    raw.push({
      index,
      nameAt: table.u32(at),
      type,
      flags: Number(table.u64(at + 8) & 0xffffffffn),
      offset,
      size,
      link: table.u32(at + 40),
      info: table.u32(at + 44),
      bytes: hasBytes
        ? header.bytes.subarray(offset, offset + size)
        : new Uint8Array(0),
    });
  }
  const namesSection = raw[names];
  if (namesSection === undefined || namesSection.type !== sectionType.strtab)
    throw new InputError(`ELF: section ${names} holds no section names`, {
      code: "elf-section-names",
      offset: 62,
    });
  const strings = new StringTable(
    namesSection.bytes,
    "ELF section names",
    namesSection.offset,
  );
  return raw.map(({ nameAt, ...section }) => ({
    ...section,
    name: strings.at(nameAt),
  }));
}

function readSymbols(sections: readonly ElfSection[]): ElfSymbol[] {
  const tables = sections.filter(({ type }) => type === sectionType.symtab);
  const [table, second] = tables;
  if (table === undefined) return [];
  if (second !== undefined)
    throw new InputError("ELF: two symbol tables", {
      code: "elf-symbol-tables",
      offset: second.offset,
    });
  const names = sections[table.link];
  if (names === undefined || names.type !== sectionType.strtab)
    throw new InputError(`ELF: section ${table.link} holds no symbol names`, {
      code: "elf-symbol-names",
      offset: table.offset,
    });
  const strings = new StringTable(
    names.bytes,
    "ELF symbol names",
    names.offset,
  );
  const reader = readerOf(table);
  const symbols: ElfSymbol[] = [];
  for (let at = 0; at + symbolSize <= table.size; at += symbolSize) {
    const info = reader.u8(at + 4);
    const section = reader.u16(at + 6);
    const type = info & 15;
    // Section symbols are nameless; they go by their section's name.
    const name =
      type === symbolType.section
        ? (sections[section]?.name ?? "")
        : strings.at(reader.u32(at));
    symbols.push({
      name,
      value: reader.size64(at + 8),
      size: reader.size64(at + 16),
      type,
      binding: info >> 4,
      hidden: [1, 2].includes(reader.u8(at + 5) & 3),
      section,
    });
  }
  return symbols;
}
