/**
 * One instruction at work on one state: what it may ask of the analysis, and how
 * it reports touches of state objects.
 */
import { printPlace, type Place } from "../base/index.ts";
import type { IrFunction, IrInstruction } from "../ir/index.ts";
import type { MapSpec, ProgramTypeName } from "../isa/index.ts";
import type { Test } from "./compared.ts";
import { enter, type Links } from "./linked.ts";
import { bitsOfBytes, constantAt } from "./memory.ts";
import type { AccessOp, CoreNumber } from "./report.ts";
import type { Byte, State } from "./state.ts";
import type { Form, Symbols } from "./symbols.ts";
import type { Touch } from "./touch.ts";
import { spotOf } from "./uses.ts";
import { bitsOf, opaqueWord, pointer, type Cell, type Word } from "./word.ts";

/** What the whole analysis knows and collects. */
export interface Analysis {
  readonly symbols: Symbols;
  readonly type: ProgramTypeName;
  readonly maps: ReadonlyMap<string, MapSpec>;
  readonly links: Links;
  /** A branch at the end of a block, in the last sweep. */
  readonly compared: (where: Omit<Touch["where"], "index">, test: Test) => void;
  /** Called for each touch in the last sweep, when states are final. */
  readonly touch: (touch: Touch) => void;
  readonly note: (code: string, message: string, at: Place) => void;
  /** A function that stays a call, with a state at the call. */
  readonly calls: (name: string, state: State) => void;
  /** A number is read that each core has another of. */
  readonly reads: (what: CoreNumber) => void;
}

/** Members of a touch that the place of the instruction does not imply. */
type TouchPart = Pick<Touch, "op" | "object"> &
  Partial<
    Pick<
      Touch,
      | "key"
      | "flags"
      | "atomic"
      | "root"
      | "offset"
      | "size"
      | "value"
      | "keyed"
      | "callee"
    >
  >;

interface CellPart {
  readonly offset: number | undefined;
  readonly size: number;
  readonly atomic?: boolean;
  readonly value?: readonly Form[];
}

/** One instruction at work on one state. */
export interface Step {
  readonly symbols: Symbols;
  readonly programType: ProgramTypeName;
  word(value: number): Word;
  touch(part: TouchPart): void;
  touchCell(op: AccessOp, cell: Cell, part: CellPart): void;
  mapSpec(name: string): MapSpec | undefined;
  readonly links: Links;
  /** The fresh index's load, where this is the cell of one. */
  freshCell(cell: Cell): number | undefined;
  /** The answer of an allocator: the number of a cell. */
  fresh(array: string): readonly Form[];
  /** A bit that is made of what the cell holds. */
  madeOf(cell: Cell): Form;
  /** The bits that a load of `size` bytes brings, in memory order. */
  loaded(
    cell: Cell,
    place: { readonly offset: number | undefined; readonly size: number },
  ): readonly Form[];
  /** A store into the cell: the touch, and the state after it. */
  storeCell(
    cell: Cell,
    place: {
      readonly offset: number | undefined;
      readonly bytes: readonly Byte[];
    },
  ): State;
  /** A key that lies in constant memory or in another cell. */
  keyBehind(address: Word, size: number): readonly Form[] | undefined;
  note(code: string, message: string): void;
  calls(name: string, state: State): void;
  reads(what: CoreNumber): void;
}

export interface Here {
  readonly analysis: Analysis;
  readonly fn: IrFunction;
  readonly where: Touch["where"];
  readonly words: Map<number, Word>;
  /** Words of values that are the same everywhere. */
  readonly leaves: ReadonlyMap<number, Word>;
}

export class InstructionStep implements Step {
  readonly symbols: Symbols;
  readonly programType: ProgramTypeName;
  readonly #state: State;
  readonly #instruction: IrInstruction;
  readonly #here: Here;

  constructor(state: State, instruction: IrInstruction, here: Here) {
    this.symbols = here.analysis.symbols;
    this.programType = here.analysis.type;
    this.#state = state;
    this.#instruction = instruction;
    this.#here = here;
  }

  word(value: number): Word {
    const { words, leaves, fn } = this.#here;
    return (
      words.get(value) ??
      leaves.get(value) ??
      typedWord(fn, value, this.symbols)
    );
  }
  touch(part: TouchPart): void {
    const { analysis, where } = this.#here;
    const { facts, bounds, locked, missed } = this.#state;
    analysis.touch({
      key: undefined,
      flags: undefined,
      atomic: false,
      root: -2,
      offset: undefined,
      size: 0,
      value: undefined,
      keyed: false,
      callee: undefined,
      ...part,
      facts,
      bounds,
      locked,
      afterMiss: missed.has(part.object),
      where,
      at: placeOf(this.#instruction.at),
    });
  }
  touchCell(op: AccessOp, cell: Cell, part: CellPart): void {
    this.touch({ op, ...cell, ...part });
  }
  mapSpec(name: string): MapSpec | undefined {
    return this.#here.analysis.maps.get(name);
  }
  keyBehind(address: Word, size: number): readonly Form[] | undefined {
    if (address.kind !== "pointer" || address.target.kind !== "cell")
      return undefined;
    const { cell } = address.target;
    const spec = this.mapSpec(cell.object);
    const constant =
      spec?.readOnly === true && spec.data !== undefined && size <= 8
        ? constantAt(spec.data, address.offset, size)
        : undefined;
    if (constant !== undefined)
      return bitsOf(constant, this.symbols).slice(0, 8 * size);
    if (spec?.readOnly !== true)
      this.touchCell("read", cell, { offset: address.offset, size });
    return this.loaded(cell, { offset: address.offset, size });
  }
  storeCell(
    cell: Cell,
    place: {
      readonly offset: number | undefined;
      readonly bytes: readonly Byte[];
    },
  ): State {
    const { offset, bytes } = place;
    const value = bitsOfBytes(bytes, this.symbols);
    this.touchCell("write", cell, { offset, size: bytes.length, value });
    const load = this.freshCell(cell);
    return load === undefined ? this.#state : enter(this.#state, load, place);
  }
  freshCell({ object, key }: Cell): number | undefined {
    if (this.links.withArray(object) === undefined) return undefined;
    const word = this.symbols.wordOf(key ?? []);
    if (word === undefined || key?.length !== 32) return undefined;
    const { kind, object: of } = this.symbols.sources.load(word.load);
    return kind === "fresh" && of === object && word.plus === 0
      ? word.load
      : undefined;
  }
  get links(): Links {
    return this.#here.analysis.links;
  }
  fresh(array: string): readonly Form[] {
    const { sources } = this.symbols;
    const load = sources.loadId(
      {
        kind: "fresh",
        object: array,
        cell: sources.cellId(array, undefined),
        root: -2,
        offset: 0,
        size: 4,
      },
      spotOf(this.#here.where),
    );
    return this.symbols.word(load, 0, 32);
  }
  madeOf({ object, key }: Cell): Form {
    const cell = this.symbols.sources.cellId(object, key);
    return this.symbols.opaque({ kind: "state", object, cell });
  }
  loaded(
    cell: Cell,
    place: { readonly offset: number | undefined; readonly size: number },
  ): readonly Form[] {
    const { offset, size } = place;
    if (offset === undefined) {
      const form = this.madeOf(cell);
      return Array.from({ length: 8 * size }, () => form);
    }
    const { object, root } = cell;
    const spot = spotOf(this.#here.where);
    const id = this.symbols.sources.cellId(object, cell.key);
    const bits: Form[] = [];
    for (let at = 0; at < size; at += 4) {
      const bytes = Math.min(4, size - at);
      const load = this.symbols.sources.loadId(
        {
          kind: "load",
          object,
          cell: id,
          root,
          offset: offset + at,
          size: bytes,
        },
        spot,
      );
      bits.push(...this.symbols.word(load, 0, 8 * bytes));
    }
    return bits;
  }
  note(code: string, message: string): void {
    const { at } = this.#instruction;
    this.#here.analysis.note(code, `${message} (${printPlace(at)})`, at);
  }
  calls(name: string, state: State): void {
    this.#here.analysis.calls(name, state);
  }
  reads(what: CoreNumber): void {
    this.#here.analysis.reads(what);
  }
}

/** What ir's types say of a value that this analysis has lost or never had. */
function typedWord(fn: IrFunction, value: number, symbols: Symbols): Word {
  const type = fn.values[value];
  const unknown = opaqueWord(symbols.unknown("not followed"));
  if (type?.kind !== "pointer") return unknown;
  switch (type.region.kind) {
    case "context":
      return pointer({ kind: "context" }, type.offset);
    case "packet":
      return pointer({ kind: "packet", base: 0 }, undefined);
    case "map-value": {
      const cell = { object: type.region.map, key: undefined, root: -2 };
      return pointer({ kind: "cell", cell }, undefined);
    }
    case "map":
      return pointer({ kind: "map", map: type.region.map }, 0);
    case "kernel":
    // A caller's frame: the caller has given up its slots at the call.
    case "frame":
      return pointer({ kind: "kernel" }, undefined);
    case "packet-end":
    case "packet-meta":
    case "slot":
    case "function":
    case "unknown":
      return unknown;
  }
}

/** Line 0 is how compilers say that code belongs to no line. */
function placeOf(at: Place): Place {
  return at.line === 0
    ? { function: at.function, instruction: at.instruction }
    : at;
}
