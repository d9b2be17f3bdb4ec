/**
 * BTF bytes → types.
 *
 *     header | types: 12-byte record, then what its kind adds | strings
 *     record: name u32 | info u32: flag 1, 0 2, kind 5, 0 8, count 16 | size or type u32
 *
 * Every type id is checked here, once: whoever walks types later cannot leave the
 * table, and only has to mind cycles.
 */
import { ByteReader, InputError } from "../base/index.ts";
import {
  btfMagic,
  kinds,
  linkages,
  type Btf,
  type BtfLinkage,
  type BtfType,
} from "./btf.ts";
import { StringTable } from "./strings.ts";

export interface BtfSection {
  readonly btf: Btf;
  /** The string table, which .BTF.ext shares. */
  readonly strings: StringTable;
}

/** `origin`: offset of the bytes in their file, for messages. */
export function readBtf(bytes: Uint8Array, origin = 0): Btf {
  return readBtfSection(bytes, origin).btf;
}

export function readBtfSection(bytes: Uint8Array, origin = 0): BtfSection {
  const reader = new ByteReader(bytes, { what: "BTF", origin });
  const { typesAt, typesSize, strings } = readHeader(reader);
  const types: BtfType[] = [{ kind: "void" }];
  const places: number[] = [0];
  const table = reader.slice(typesAt, typesSize, "BTF types");
  let at = 0;
  while (at < typesSize) {
    places.push(at);
    const { type, next } = readType(table, at, strings);
    types.push(type);
    at = next;
  }
  checkIds(types, (id) => table.origin + (places[id] ?? 0));
  return { btf: { types }, strings };
}

function readHeader(reader: ByteReader): {
  typesAt: number;
  typesSize: number;
  strings: StringTable;
} {
  const magic = reader.u16(0);
  if (magic === 0x9feb)
    throw new InputError("BTF: big-endian, little-endian is expected", {
      code: "btf-big-endian",
      offset: reader.origin,
    });
  if (magic !== btfMagic)
    throw new InputError("BTF: wrong magic number", {
      code: "btf-magic",
      offset: reader.origin,
    });
  if (reader.u8(2) !== 1)
    throw new InputError(`BTF: version 1 is expected, not ${reader.u8(2)}`, {
      code: "btf-version",
      offset: reader.origin + 2,
    });
  const start = reader.u32(4);
  const stringsAt = start + reader.u32(16);
  const strings = reader.slice(stringsAt, reader.u32(20), "BTF strings");
  return {
    typesAt: start + reader.u32(8),
    typesSize: reader.u32(12),
    strings: new StringTable(strings.bytes, "BTF", strings.origin),
  };
}

function readType(
  table: ByteReader,
  at: number,
  strings: StringTable,
): { type: BtfType; next: number } {
  const name = strings.at(table.u32(at));
  const info = table.u32(at + 4);
  const kind = kinds[(info >>> 24) & 31];
  const flag = info >>> 31 === 1;
  const count = info & 0xffff;
  const last = table.u32(at + 8);
  const body = at + 12;
  const list = <T>(size: number, item: (at: number) => T): T[] => {
    table.need(body, count * size);
    return Array.from({ length: count }, (_, index) =>
      item(body + index * size),
    );
  };
  const give = (type: BtfType, extra: number) => ({ type, next: body + extra });
  switch (kind) {
    case undefined:
    case "void":
      throw new InputError(`BTF: unknown kind ${(info >>> 24) & 31}`, {
        code: "btf-kind",
        offset: table.origin + at,
      });
    case "int": {
      const word = table.u32(body);
      // prettier-ignore
      return give({ kind, name, size: last, bits: word & 0xff, offset: (word >>> 16) & 0xff, encoding: (word >>> 24) & 15 }, 4);
    }
    case "pointer":
      return give({ kind, type: last }, 0);
    case "array":
      // prettier-ignore
      return give({ kind, type: table.u32(body), index: table.u32(body + 4), count: table.u32(body + 8) }, 12);
    case "struct":
    case "union": {
      const members = list(12, (m) => {
        const offset = table.u32(m + 8);
        return {
          name: strings.at(table.u32(m)),
          type: table.u32(m + 4),
          bitOffset: flag ? offset & 0xffffff : offset,
          bitSize: flag ? offset >>> 24 : 0,
        };
      });
      // prettier-ignore
      return give({ kind, name, size: last, bitFields: flag, members }, 12 * count);
    }
    case "enum": {
      const values = list(8, (v) => ({
        name: strings.at(table.u32(v)),
        value: BigInt(flag ? table.i32(v + 4) : table.u32(v + 4)),
      }));
      return give({ kind, name, size: last, signed: flag, values }, 8 * count);
    }
    case "enum64": {
      const values = list(12, (v) => {
        const value = table.u64(v + 4);
        return {
          name: strings.at(table.u32(v)),
          value: flag ? BigInt.asIntN(64, value) : value,
        };
      });
      return give({ kind, name, size: last, signed: flag, values }, 12 * count);
    }
    case "forward":
      return give({ kind, name, of: flag ? "union" : "struct" }, 0);
    case "typedef":
      return give({ kind, name, type: last }, 0);
    case "volatile":
    case "const":
    case "restrict":
      return give({ kind, type: last }, 0);
    case "function":
      // prettier-ignore
      return give({ kind, name, type: last, linkage: linkageOf(count, table.origin + at) }, 0);
    case "prototype": {
      const parameters = list(8, (p) => ({
        name: strings.at(table.u32(p)),
        type: table.u32(p + 4),
      }));
      return give({ kind, type: last, parameters }, 8 * count);
    }
    case "variable":
      // prettier-ignore
      return give({ kind, name, type: last, linkage: linkageOf(table.u32(body), table.origin + at) }, 4);
    case "section": {
      const variables = list(12, (v) => ({
        type: table.u32(v),
        offset: table.u32(v + 4),
        size: table.u32(v + 8),
      }));
      return give({ kind, name, size: last, variables }, 12 * count);
    }
    case "float":
      return give({ kind, name, size: last }, 0);
    case "declaration-tag":
      // prettier-ignore
      return give({ kind, name, type: last, component: table.i32(body), attribute: flag }, 4);
    case "type-tag":
      return give({ kind, name, type: last, attribute: flag }, 0);
  }
}

function linkageOf(number: number, offset: number): BtfLinkage {
  const linkage = linkages[number];
  if (linkage !== undefined) return linkage;
  throw new InputError(`BTF: unknown linkage ${number}`, {
    code: "btf-linkage",
    offset,
  });
}

function checkIds(
  types: readonly BtfType[],
  place: (id: number) => number,
): void {
  for (const [id, type] of types.entries())
    for (const other of referencesOf(type))
      if (other >= types.length)
        throw new InputError(
          `BTF: type ${id} names type ${other}, but the last is ${types.length - 1}`,
          { code: "btf-id", offset: place(id) },
        );
}

function referencesOf(type: BtfType): readonly number[] {
  switch (type.kind) {
    case "void":
    case "int":
    case "enum":
    case "enum64":
    case "forward":
    case "float":
      return [];
    case "pointer":
    case "typedef":
    case "volatile":
    case "const":
    case "restrict":
    case "function":
    case "variable":
    case "declaration-tag":
    case "type-tag":
      return [type.type];
    case "array":
      return [type.type, type.index];
    case "struct":
    case "union":
      return type.members.map((member) => member.type);
    case "prototype":
      return [type.type, ...type.parameters.map(({ type: id }) => id)];
    case "section":
      return type.variables.map((variable) => variable.type);
  }
}
