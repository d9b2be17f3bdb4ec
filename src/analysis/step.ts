/**
 * One instruction at work on one state: what it may ask of the analysis, and how
 * it reports touches of state objects.
 */
import { printPlace, type Place } from "../base/index.ts";
import type { IrFunction, IrInstruction } from "../ir/index.ts";
import type { MapSpec, ProgramTypeName } from "../isa/index.ts";
import { constantAt } from "./memory.ts";
import type { AccessOp, CoreNumber } from "./report.ts";
import type { State } from "./state.ts";
import type { Form, Symbols } from "./symbols.ts";
import type { Touch } from "./touch.ts";
import { bitsOf, opaqueWord, pointer, type Cell, type Word } from "./word.ts";

/** What the whole analysis knows and collects. */
export interface Analysis {
  readonly symbols: Symbols;
  readonly type: ProgramTypeName;
  readonly maps: ReadonlyMap<string, MapSpec>;
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
  Partial<Pick<Touch, "key" | "flags" | "atomic" | "root" | "offset" | "size">>;

interface CellPart {
  readonly offset: number | undefined;
  readonly size: number;
  readonly atomic?: boolean;
}

/** One instruction at work on one state. */
export interface Step {
  readonly symbols: Symbols;
  readonly programType: ProgramTypeName;
  word(value: number): Word;
  touch(part: TouchPart): void;
  touchCell(op: AccessOp, cell: Cell, part: CellPart): void;
  mapSpec(name: string): MapSpec | undefined;
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
    const form = this.symbols.opaque({ kind: "state", object: cell.object });
    return Array.from({ length: 8 * size }, () => form);
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
