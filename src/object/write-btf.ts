/**
 * Types → BTF bytes: the inverse of read-btf, with each string stored once, in
 * order of first use. The same types always give the same bytes.
 */
import { ByteWriter } from "../base/index.ts";
import { btfMagic, kinds, linkages, type Btf, type BtfType } from "./btf.ts";
import { StringTableBuilder } from "./strings.ts";

export function writeBtf(btf: Btf): Uint8Array {
  const strings = new StringTableBuilder();
  return finishBtf(writeTypes(btf, strings), strings);
}

/** The type part, its strings collected in `strings`. */
export function writeTypes(btf: Btf, strings: StringTableBuilder): Uint8Array {
  const out = new ByteWriter();
  for (const type of btf.types.slice(1)) writeType(out, type, strings);
  return out.finish();
}

/** Header, types and the strings as collected so far. */
export function finishBtf(
  types: Uint8Array,
  strings: StringTableBuilder,
): Uint8Array {
  const table = strings.finish();
  return new ByteWriter()
    .u16(btfMagic)
    .u8(1)
    .u8(0)
    .u32(24)
    .u32(0)
    .u32(types.length)
    .u32(types.length)
    .u32(table.length)
    .raw(types)
    .raw(table)
    .finish();
}

function writeType(
  out: ByteWriter,
  type: BtfType,
  strings: StringTableBuilder,
): void {
  const kind = kinds.indexOf(type.kind);
  const name = "name" in type ? strings.add(type.name) : 0;
  const record = (count: number, flag: boolean, last: number): ByteWriter =>
    out
      .u32(name)
      .u32(((flag ? 1 << 31 : 0) | (kind << 24) | count) >>> 0)
      .u32(last);
  switch (type.kind) {
    case "void":
      break;
    case "int":
      record(0, false, type.size).u32(
        ((type.encoding << 24) | (type.offset << 16) | type.bits) >>> 0,
      );
      break;
    case "pointer":
    case "typedef":
    case "volatile":
    case "const":
    case "restrict":
      record(0, false, type.type);
      break;
    case "array":
      record(0, false, 0).u32(type.type).u32(type.index).u32(type.count);
      break;
    case "struct":
    case "union":
      record(type.members.length, type.bitFields, type.size);
      for (const member of type.members)
        out
          .u32(strings.add(member.name))
          .u32(member.type)
          .u32(
            type.bitFields
              ? ((member.bitSize << 24) | member.bitOffset) >>> 0
              : member.bitOffset,
          );
      break;
    case "enum":
      record(type.values.length, type.signed, type.size);
      for (const { name, value } of type.values)
        out.u32(strings.add(name)).u32(Number(BigInt.asUintN(32, value)));
      break;
    case "enum64":
      record(type.values.length, type.signed, type.size);
      for (const { name, value } of type.values)
        out.u32(strings.add(name)).u64(value);
      break;
    case "forward":
      record(0, type.of === "union", 0);
      break;
    case "function":
      record(linkages.indexOf(type.linkage), false, type.type);
      break;
    case "prototype":
      record(type.parameters.length, false, type.type);
      for (const parameter of type.parameters)
        out.u32(strings.add(parameter.name)).u32(parameter.type);
      break;
    case "variable":
      record(0, false, type.type).u32(linkages.indexOf(type.linkage));
      break;
    case "section":
      record(type.variables.length, false, type.size);
      for (const variable of type.variables)
        out.u32(variable.type).u32(variable.offset).u32(variable.size);
      break;
    case "float":
      record(0, false, type.size);
      break;
    case "declaration-tag":
      record(0, type.attribute, type.type).u32(type.component >>> 0);
      break;
    case "type-tag":
      record(0, type.attribute, type.type);
      break;
  }
}
