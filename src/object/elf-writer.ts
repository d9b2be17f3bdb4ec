/**
 * Sections and symbols → ELF64 bytes: the inverse of elf. Deterministic: order in
 * is order out, local symbols first as ELF demands.
 *
 *     ELF header | section contents | section headers
 *     sections: null, those given, their relocations, .symtab, .strtab
 */
import { Bug, ByteWriter } from "../base/index.ts";
import { binding, sectionType, symbolType } from "./elf.ts";
import { StringTableBuilder } from "./strings.ts";

export interface OutputRelocation {
  readonly offset: number;
  readonly type: number;
  /** Key of the symbol. */
  readonly symbol: string;
}

export interface OutputSection {
  readonly name: string;
  readonly type: number;
  readonly flags: number;
  readonly alignment: number;
  /** Empty for .bss. */
  readonly bytes: Uint8Array;
  readonly size: number;
  readonly relocations: readonly OutputRelocation[];
}

export interface OutputSymbol {
  /** By which relocations name it; unique. */
  readonly key: string;
  readonly name: string;
  /** Name of its section; undefined: provided by the loader. */
  readonly section: string | undefined;
  readonly value: number;
  readonly size: number;
  readonly type: number;
  readonly binding: number;
}

interface Header {
  readonly name: number;
  readonly type: number;
  readonly flags: number;
  readonly size: number;
  readonly link: number;
  readonly info: number;
  readonly alignment: number;
  readonly entry: number;
  readonly bytes: Uint8Array;
}

const infoLink = 0x40;
const headerSize = 64;

export function writeElf(
  sections: readonly OutputSection[],
  symbols: readonly OutputSymbol[],
): Uint8Array {
  const strings = new StringTableBuilder();
  const indexOf = new Map(sections.map(({ name }, at) => [name, at + 1]));
  const relocated = sections.filter(
    (section) => section.relocations.length > 0,
  );
  const symtab = 1 + sections.length + relocated.length;
  const ordered = [
    ...symbols.filter((symbol) => symbol.binding === binding.local),
    ...symbols.filter((symbol) => symbol.binding !== binding.local),
  ];
  const numbers = new Map(ordered.map(({ key }, at) => [key, at + 1]));

  const headers: Header[] = sections.map((section) => ({
    name: strings.add(section.name),
    type: section.type,
    flags: section.flags,
    size: section.size,
    link: 0,
    info: 0,
    alignment: section.alignment,
    entry: 0,
    bytes: section.bytes,
  }));
  for (const section of relocated) {
    const bytes = writeRelocations(section.relocations, numbers);
    headers.push({
      name: strings.add(`.rel${section.name}`),
      type: sectionType.rel,
      flags: infoLink,
      size: bytes.length,
      link: symtab,
      info: indexOf.get(section.name) ?? 0,
      alignment: 8,
      entry: 16,
      bytes,
    });
  }
  const table = writeSymbols(ordered, indexOf, strings);
  headers.push({
    name: strings.add(".symtab"),
    type: sectionType.symtab,
    flags: 0,
    size: table.length,
    link: symtab + 1,
    info: 1 + symbols.filter((s) => s.binding === binding.local).length,
    alignment: 8,
    entry: 24,
    bytes: table,
  });
  const stringsName = strings.add(".strtab");
  const text = strings.finish();
  headers.push({
    name: stringsName,
    type: sectionType.strtab,
    flags: 0,
    size: text.length,
    link: 0,
    info: 0,
    alignment: 1,
    entry: 0,
    bytes: text,
  });
  return assemble(headers);
}

function assemble(headers: readonly Header[]): Uint8Array {
  const body = new ByteWriter();
  const places = headers.map(({ bytes, alignment }) => {
    // Body offsets are file offsets less the header, itself a multiple of 64.
    body.align(alignment);
    const offset = headerSize + body.length;
    body.raw(bytes);
    return offset;
  });
  body.align(8);
  const out = new ByteWriter()
    .raw(Uint8Array.of(0x7f, 0x45, 0x4c, 0x46, 2, 1, 1, 0))
    .u64(0n)
    .u16(1)
    .u16(247)
    .u32(1)
    .u64(0n)
    .u64(0n)
    .u64(BigInt(headerSize + body.length))
    .u32(0)
    .u16(headerSize)
    .u16(0)
    .u16(0)
    .u16(64)
    .u16(headers.length + 1)
    .u16(headers.length)
    .raw(body.finish())
    .raw(new Uint8Array(64));
  for (const [index, header] of headers.entries())
    out
      .u32(header.name)
      .u32(header.type)
      .u64(BigInt(header.flags))
      .u64(0n)
      .u64(BigInt(places[index] ?? 0))
      .u64(BigInt(header.size))
      .u32(header.link)
      .u32(header.info)
      .u64(BigInt(header.alignment))
      .u64(BigInt(header.entry));
  return out.finish();
}

function writeRelocations(
  relocations: readonly OutputRelocation[],
  numbers: ReadonlyMap<string, number>,
): Uint8Array {
  const out = new ByteWriter();
  for (const { offset, type, symbol } of relocations) {
    const number = numbers.get(symbol);
    if (number === undefined) throw new Bug(`no symbol ${symbol}`);
    out.u64(BigInt(offset)).u32(type).u32(number);
  }
  return out.finish();
}

function writeSymbols(
  symbols: readonly OutputSymbol[],
  indexOf: ReadonlyMap<string, number>,
  strings: StringTableBuilder,
): Uint8Array {
  const out = new ByteWriter().raw(new Uint8Array(24));
  for (const symbol of symbols) {
    const section =
      symbol.section === undefined ? 0 : indexOf.get(symbol.section);
    if (section === undefined) throw new Bug(`no section ${symbol.section}`);
    out
      .u32(symbol.type === symbolType.section ? 0 : strings.add(symbol.name))
      .u8((symbol.binding << 4) | symbol.type)
      .u8(0)
      .u16(section)
      .u64(BigInt(symbol.value))
      .u64(BigInt(symbol.size));
  }
  return out.finish();
}
