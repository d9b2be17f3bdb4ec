/**
 * Sections of code → functions: cut at the function symbols, decoded, and with
 * what `.BTF.ext` says of them.
 *
 * A section without function symbols is one function by the section's name
 * (compilers before LLVM 6, hand-written assembly); so are bytes in front of the
 * first symbol. Two symbols at one place are one function.
 */
import { InputError } from "../base/index.ts";
import {
  decode,
  type CoreRelocation,
  type Instruction,
  type LineInfo,
} from "../isa/index.ts";
import type { Btf } from "./btf.ts";
import type { BtfExt } from "./btf-ext.ts";
import {
  binding,
  sectionFlag,
  sectionType,
  symbolType,
  type Elf,
  type ElfSection,
  type ElfSymbol,
} from "./elf.ts";

export const textSection = ".text";

/** A function with its place in the file. */
export interface PlacedFunction {
  readonly name: string;
  readonly section: ElfSection;
  readonly linkage: "global" | "static";
  readonly hidden: boolean;
  /** In bytes from the section's start. */
  readonly start: number;
  readonly end: number;
  readonly instructions: readonly Instruction[];
  /** Instruction index by slot of the function. */
  readonly indexOf: ReadonlyMap<number, number>;
}

export function codeSections(elf: Elf): ElfSection[] {
  return elf.sections.filter(
    ({ type, flags, size }) =>
      type === sectionType.progbits &&
      (flags & sectionFlag.exec) !== 0 &&
      size > 0,
  );
}

export function readFunctions(elf: Elf): PlacedFunction[] {
  const bySection = new Map<number, ElfSymbol[]>();
  for (const symbol of elf.symbols) {
    const list = bySection.get(symbol.section);
    if (list === undefined) bySection.set(symbol.section, [symbol]);
    else list.push(symbol);
  }
  const used = new Map<string, number>();
  return codeSections(elf).flatMap((section) =>
    cut(section, bySection.get(section.index) ?? []).map((piece) => {
      const name = unique(piece.name, used);
      const bytes = section.bytes.subarray(piece.start, piece.end);
      const { instructions, slots } = decode(bytes, {
        what: `function ${name}`,
        origin: section.offset + piece.start,
      });
      return {
        ...piece,
        name,
        section,
        instructions,
        indexOf: new Map(slots.map((slot, index) => [slot, index])),
      };
    }),
  );
}

type Piece = Pick<
  PlacedFunction,
  "name" | "linkage" | "hidden" | "start" | "end"
>;

function cut(section: ElfSection, symbols: readonly ElfSymbol[]): Piece[] {
  const heads = functionSymbols(symbols).sort(
    (left, right) => left.value - right.value || right.binding - left.binding,
  );
  const pieces: Piece[] = [];
  const first = heads[0]?.value ?? section.size;
  if (first > 0)
    pieces.push({
      name: section.name,
      linkage: "global",
      hidden: false,
      start: 0,
      end: first,
    });
  for (const [index, symbol] of heads.entries()) {
    const start = symbol.value;
    if (start % 8 !== 0 || start >= section.size)
      throw new InputError(
        `function ${symbol.name}: offset ${start} of section ${section.name} is no place for a function`,
        { code: "elf-symbol-place", offset: section.offset },
      );
    // The last symbol of a place is followed by the next place.
    if (heads[index - 1]?.value === start) continue;
    let next = index + 1;
    while (heads[next]?.value === start) next++;
    const end = heads[next]?.value ?? section.size;
    const sized = symbol.size > 0 && symbol.size % 8 === 0;
    const hidden = symbol.hidden && symbol.binding !== binding.local;
    pieces.push({
      name: symbol.name,
      linkage: symbol.binding === binding.local || hidden ? "static" : "global",
      hidden,
      start,
      end: sized ? Math.min(end, start + symbol.size) : end,
    });
  }
  return pieces;
}

/** Function symbols or, where there are none, untyped global ones. */
function functionSymbols(symbols: readonly ElfSymbol[]): ElfSymbol[] {
  const typed = symbols.filter(({ type }) => type === symbolType.function);
  if (typed.length > 0) return typed;
  return symbols.filter(
    ({ type, binding: how, name }) =>
      type === symbolType.none && how !== binding.local && name !== "",
  );
}

/** Static functions of linked objects may share a name. */
function unique(name: string, used: Map<string, number>): string {
  const count = used.get(name);
  used.set(name, (count ?? 0) + 1);
  return count === undefined ? name : unique(`${name}.${count}`, used);
}

/** What BTF tells of a function. */
export interface FunctionDebug {
  readonly lines: readonly LineInfo[];
  readonly coreRelocations: readonly CoreRelocation[];
  readonly btfFunction?: number;
}

/** Debug information of each function, in the order of `functions`. */
export function debugOf(
  functions: readonly PlacedFunction[],
  btf: Btf,
  ext: BtfExt,
): FunctionDebug[] {
  const cursor = {
    functions: distribute(functions, ext.functions),
    lines: distribute(functions, ext.lines),
    relocations: distribute(functions, ext.relocations),
  };
  return functions.map((fn, index) => {
    const start = cursor.functions[index]?.find(
      ({ offset }) => offset === fn.start,
    );
    if (start !== undefined && btf.types[start.type]?.kind !== "function")
      throw new InputError(
        `function ${fn.name}: its BTF type ${start.type} is no function`,
        { code: "btf-ext-type" },
      );
    return {
      lines: (cursor.lines[index] ?? []).map(({ offset, ...line }) => ({
        at: instructionAt(fn, offset),
        ...line,
      })),
      coreRelocations: (cursor.relocations[index] ?? []).map((record) => {
        if (btf.types[record.type] === undefined)
          throw new InputError(
            `function ${fn.name}: relocation against type ${record.type}`,
            { code: "btf-ext-type" },
          );
        return {
          at: instructionAt(fn, record.offset),
          typeId: record.type,
          access: record.access,
          kind: record.kind,
        };
      }),
      ...(start === undefined ? {} : { btfFunction: start.type }),
    };
  });
}

/** Records by function; those in no function are dropped. */
function distribute<T extends { readonly offset: number }>(
  functions: readonly PlacedFunction[],
  records: ReadonlyMap<string, readonly T[]>,
): T[][] {
  const found: T[][] = functions.map(() => []);
  const sorted = new Map<string, T[]>();
  const next = new Map<string, number>();
  for (const [index, fn] of functions.entries()) {
    const name = fn.section.name;
    const list =
      sorted.get(name) ??
      [...(records.get(name) ?? [])].sort((a, b) => a.offset - b.offset);
    sorted.set(name, list);
    let at = next.get(name) ?? 0;
    for (; at < list.length; at++) {
      const record = list[at];
      if (record === undefined || record.offset >= fn.end) break;
      if (record.offset >= fn.start) found[index]?.push(record);
    }
    next.set(name, at);
  }
  return found;
}

function instructionAt(fn: PlacedFunction, offset: number): number {
  const index = fn.indexOf.get((offset - fn.start) / 8);
  if (index !== undefined) return index;
  throw new InputError(
    `function ${fn.name}: BTF.ext speaks of offset ${offset}, where no instruction starts`,
    { code: "btf-ext-offset" },
  );
}
