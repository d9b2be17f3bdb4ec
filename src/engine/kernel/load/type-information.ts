/**
 * BTF for the kernel: the object's types, or three made-up ones per function
 * where there is none, with the records that point into them.
 *
 * The kernel refuses some of what compilers emit (sections without sizes,
 * functions that are `extern`). Nothing here needs these, so they are replaced by
 * a plain int under the same id: all other ids stay as they were. Strings of line
 * records are appended to the string table, which ends the BTF:
 *
 *   header (24 bytes; string length at 20) | types | strings | + our strings
 *
 * Source: kernel Documentation/bpf/btf.rst; `btf_func_proto_check`,
 * `btf_datasec_resolve` in kernel/bpf/btf.c.
 */
import { ByteWriter } from "../../../base/index.ts";
import type { ProgramSpec } from "../../../isa/index.ts";
import { writeBtf, type Btf, type BtfType } from "../../../object/index.ts";
import type { PlacedFunction } from "./layout.ts";

export interface TypeInformation {
  readonly btf: Uint8Array;
  /** `struct bpf_func_info` records of 8 bytes, one per function. */
  readonly functions: Uint8Array;
  /** `struct bpf_line_info` records of 16 bytes; none when a function starts without a line. */
  readonly lines: Uint8Array;
  /** `struct bpf_core_relo` records of 16 bytes. */
  readonly relocations: Uint8Array;
}

const int: BtfType = {
  kind: "int",
  name: "int",
  size: 4,
  bits: 32,
  offset: 0,
  encoding: 1,
};

/** The object's types alone, for maps; data sections too, if wanted. */
export function mapTypeInformation(
  btf: Btf,
  { sections }: { readonly sections: boolean },
): Uint8Array {
  const types = btf.types.map((type): BtfType => {
    if (!sections) return kernelType(type);
    if (type.kind === "section" && isDescribed(btf, type)) {
      const variables = [...type.variables];
      variables.sort((left, right) => left.offset - right.offset);
      return { ...type, variables };
    }
    return type.kind === "variable" && type.linkage !== "extern"
      ? type
      : kernelType(type);
  });
  return writeBtf({ ...btf, types });
}

/** Sizes and offsets are known, and nothing in it is defined elsewhere. */
function isDescribed(
  btf: Btf,
  { name, size, variables }: Extract<BtfType, { kind: "section" }>,
): boolean {
  return (
    /^\.(data|rodata|bss)/.test(name) &&
    size > 0 &&
    variables.every(({ type }) => {
      const variable = btf.types[type];
      return variable?.kind === "variable" && variable.linkage !== "extern";
    })
  );
}

/** Types that the kernel takes, under the ids of the object's. */
function kernelBtf(btf: Btf): Btf {
  return { ...btf, types: btf.types.map(kernelType) };
}

function kernelType(type: BtfType): BtfType {
  if (
    type.kind === "section" ||
    type.kind === "variable" ||
    type.kind === "declaration-tag" ||
    (type.kind === "function" && type.linkage === "extern")
  )
    return int;
  if (type.kind !== "prototype") return type;
  const parameters = type.parameters.map((parameter, index) => ({
    ...parameter,
    // A function with a body must name them; an absent type ends the list.
    name:
      parameter.name === "" && parameter.type !== 0
        ? `a${index}`
        : parameter.name,
  }));
  return { ...type, parameters };
}

/** Types and records of one program; undefined where nothing is known or needed. */
export function typeInformation(
  program: ProgramSpec,
  placed: readonly PlacedFunction[],
  btf: Btf | undefined,
): TypeInformation | undefined {
  const known = program.functions.every(
    ({ btfFunction }) =>
      btfFunction !== undefined && btf?.types[btfFunction]?.kind === "function",
  );
  if (!known && !needsTypes(program)) return undefined;
  const base: Btf =
    btf !== undefined && known ? kernelBtf(btf) : madeUp(program, btf);
  const bytes = writeBtf(base);
  const strings = new Strings(bytes);
  const first = base.types.length - program.functions.length;
  const functions = new ByteWriter();
  for (const [index, { fn, start }] of placed.entries())
    functions.u32(start).u32(known ? (fn.btfFunction ?? 0) : first + index);
  const lines = lineRecords(placed, strings);
  const relocations =
    btf === undefined ? new Uint8Array() : relocationRecords(placed, strings);
  return {
    btf: strings.finish(),
    functions: functions.finish(),
    lines,
    relocations,
  };
}

/** Callbacks are only accepted with function records, field accesses only with types. */
function needsTypes(program: ProgramSpec): boolean {
  return program.functions.some(
    (fn) =>
      fn.coreRelocations.length > 0 ||
      fn.instructions.some(
        (instruction) =>
          instruction.kind === "load-wide" &&
          instruction.value.kind === "function",
      ),
  );
}

/** The object's types, if any, then `int f(void)` for each function. */
function madeUp(program: ProgramSpec, btf: Btf | undefined): Btf {
  const types: BtfType[] =
    btf === undefined ? [{ kind: "void" }] : [...kernelBtf(btf).types];
  const result = types.length;
  types.push(int, { kind: "prototype", type: result, parameters: [] });
  for (const [index, fn] of program.functions.entries())
    types.push({
      kind: "function",
      name: fn.name.replace(/\W/g, "_") || `f${index}`,
      type: result + 1,
      linkage: index === 0 ? "global" : "static",
    });
  return { types };
}

/** BTF bytes whose string table can grow. */
class Strings {
  readonly #bytes: Uint8Array;
  readonly #added = new ByteWriter();
  readonly #offsets = new Map<string, number>();
  readonly #length: number;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#length = new DataView(bytes.buffer, bytes.byteOffset).getUint32(
      20,
      true,
    );
  }

  add(text: string): number {
    const known = this.#offsets.get(text);
    if (known !== undefined) return known;
    const offset = this.#length + this.#added.length;
    this.#added.cString(text.replaceAll("\0", " "));
    this.#offsets.set(text, offset);
    return offset;
  }

  finish(): Uint8Array {
    const out = new ByteWriter().raw(this.#bytes).raw(this.#added.finish());
    out.patchU32(20, this.#length + this.#added.length);
    return out.finish();
  }
}

function lineRecords(
  placed: readonly PlacedFunction[],
  strings: Strings,
): Uint8Array {
  const complete = placed.every(({ fn }) => fn.lines[0]?.at === 0);
  if (!complete) return new Uint8Array();
  const out = new ByteWriter();
  for (const { fn, start, slots } of placed) {
    let before = -1;
    for (const { at, file, text, line, column } of fn.lines) {
      const slot = slots[at];
      if (slot === undefined || at === before) continue;
      before = at;
      out
        .u32(start + slot)
        .u32(strings.add(file))
        .u32(strings.add(text))
        .u32(((line & 0x3f_ffff) << 10) | Math.min(column, 1023));
    }
  }
  return out.finish();
}

function relocationRecords(
  placed: readonly PlacedFunction[],
  strings: Strings,
): Uint8Array {
  const out = new ByteWriter();
  for (const { fn, start, slots } of placed)
    for (const { at, typeId, access, kind } of fn.coreRelocations)
      out
        .u32(8 * (start + (slots[at] ?? 0)))
        .u32(typeId)
        .u32(strings.add(access))
        .u32(kind);
  return out.finish();
}
