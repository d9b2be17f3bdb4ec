/**
 * `.BTF.ext`: per section of code, which function starts where (func_info), which
 * source line an instruction came from (line_info), and which field accesses are
 * to be relocated (core_relo). Offsets are in bytes from the section's start.
 *
 *     header | three parts, each: record size u32, then per section
 *              name u32 | count u32 | records
 *
 * Strings live in the table of .BTF; both are therefore written together.
 * Source: kernel Documentation/bpf/btf.rst section 3; include/uapi/linux/bpf.h.
 */
import { ByteReader, ByteWriter, InputError } from "../base/index.ts";
import { btfMagic, type Btf } from "./btf.ts";
import { StringTableBuilder, type StringTable } from "./strings.ts";
import { finishBtf, writeTypes } from "./write-btf.ts";

export interface FunctionRecord {
  readonly offset: number;
  /** Id of the FUNC. */
  readonly type: number;
}

export interface LineRecord {
  readonly offset: number;
  readonly file: string;
  readonly text: string;
  readonly line: number;
  readonly column: number;
}

export interface RelocationRecord {
  readonly offset: number;
  readonly type: number;
  readonly access: string;
  readonly kind: number;
}

/** By section name; records in file order. */
export interface BtfExt {
  readonly functions: ReadonlyMap<string, readonly FunctionRecord[]>;
  readonly lines: ReadonlyMap<string, readonly LineRecord[]>;
  readonly relocations: ReadonlyMap<string, readonly RelocationRecord[]>;
}

export const emptyBtfExt: BtfExt = {
  functions: new Map(),
  lines: new Map(),
  relocations: new Map(),
};

export function readBtfExt(
  bytes: Uint8Array,
  strings: StringTable,
  origin = 0,
): BtfExt {
  const reader = new ByteReader(bytes, { what: "BTF.ext", origin });
  if (reader.u16(0) !== btfMagic)
    throw new InputError("BTF.ext: wrong magic number", {
      code: "btf-ext-magic",
      offset: origin,
    });
  const header = reader.u32(4);
  const part = (at: number): ByteReader | undefined => {
    // Old compilers wrote shorter headers, without the last part.
    if (at + 8 > header) return undefined;
    const size = reader.u32(at + 4);
    return size === 0
      ? undefined
      : reader.slice(header + reader.u32(at), size, "BTF.ext");
  };
  return {
    functions: readPart(part(8), strings, 8, (r, at) => ({
      offset: r.u32(at),
      type: r.u32(at + 4),
    })),
    lines: readPart(part(16), strings, 16, (r, at) => ({
      offset: r.u32(at),
      file: strings.at(r.u32(at + 4)),
      text: strings.at(r.u32(at + 8)),
      line: r.u32(at + 12) >>> 10,
      column: r.u32(at + 12) & 1023,
    })),
    relocations: readPart(part(24), strings, 16, (r, at) => ({
      offset: r.u32(at),
      type: r.u32(at + 4),
      access: strings.at(r.u32(at + 8)),
      kind: r.u32(at + 12),
    })),
  };
}

function readPart<T>(
  part: ByteReader | undefined,
  strings: StringTable,
  least: number,
  record: (reader: ByteReader, at: number) => T,
): Map<string, T[]> {
  const found = new Map<string, T[]>();
  if (part === undefined) return found;
  const size = part.u32(0);
  if (size < least || size % 4 !== 0)
    throw new InputError(`BTF.ext: records of ${size} bytes`, {
      code: "btf-ext-record",
      offset: part.origin,
    });
  let at = 4;
  while (at < part.length) {
    const section = strings.at(part.u32(at));
    const count = part.u32(at + 4);
    at += 8;
    part.need(at, count * size);
    const records = found.get(section) ?? [];
    for (let index = 0; index < count; index++, at += size)
      records.push(record(part, at));
    found.set(section, records);
  }
  return found;
}

/** Both sections' bytes; `ext` is undefined when it would be empty. */
export function writeBtfWithExt(
  btf: Btf,
  ext: BtfExt,
): { readonly btf: Uint8Array; readonly ext?: Uint8Array } {
  const strings = new StringTableBuilder();
  const types = writeTypes(btf, strings);
  const parts = [
    writePart(ext.functions, strings, 8, (out, record) =>
      out.u32(record.offset).u32(record.type),
    ),
    writePart(ext.lines, strings, 16, (out, record) =>
      out
        .u32(record.offset)
        .u32(strings.add(record.file))
        .u32(strings.add(record.text))
        .u32(((record.line << 10) | (record.column & 1023)) >>> 0),
    ),
    writePart(ext.relocations, strings, 16, (out, record) =>
      out
        .u32(record.offset)
        .u32(record.type)
        .u32(strings.add(record.access))
        .u32(record.kind),
    ),
  ];
  const bytes = finishBtf(types, strings);
  if (parts.every((part) => part.length === 0)) return { btf: bytes };
  const out = new ByteWriter().u16(btfMagic).u8(1).u8(0).u32(32);
  let at = 0;
  for (const part of parts) {
    out.u32(at).u32(part.length);
    at += part.length;
  }
  for (const part of parts) out.raw(part);
  return { btf: bytes, ext: out.finish() };
}

function writePart<T>(
  sections: ReadonlyMap<string, readonly T[]>,
  strings: StringTableBuilder,
  size: number,
  write: (out: ByteWriter, record: T) => void,
): Uint8Array {
  const out = new ByteWriter();
  for (const [section, records] of sections) {
    if (records.length === 0) continue;
    if (out.length === 0) out.u32(size);
    out.u32(strings.add(section)).u32(records.length);
    for (const record of records) write(out, record);
  }
  return out.finish();
}
