/**
 * What one instruction does to a state. Words of the block's values stand in a
 * map of their own; touches of state objects are reported through `Step`.
 */
import { printPlace, type Place } from "../base/index.ts";
import type { IrFunction, IrInstruction } from "../ir/index.ts";
import {
  programTypeRow,
  type MapSpec,
  type ProgramTypeName,
  type Size,
} from "../isa/index.ts";
import { call } from "./calls.ts";
import { inputWord } from "./input-word.ts";
import {
  assemble,
  bytesOf,
  constantAt,
  loseFrame,
  loseSlots,
  movePointer,
  readBytes,
  writeFrame,
  writeSlot,
} from "./memory.ts";
import type { AccessOp } from "./report.ts";
import type { State } from "./state.ts";
import type { Form, Symbols } from "./symbols.ts";
import { ANY_OBJECT, type Touch } from "./touch.ts";
import {
  binary,
  bitsOf,
  fromBits,
  number,
  opaqueWord,
  pointer,
  unary,
  type Cell,
  type Word,
} from "./word.ts";

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
}

export interface Here {
  readonly analysis: Analysis;
  readonly fn: IrFunction;
  readonly where: Touch["where"];
  readonly words: Map<number, Word>;
  /** Words of values that are the same everywhere. */
  readonly leaves: ReadonlyMap<number, Word>;
}

/** State after `instruction`; its result goes into `here.words`. */
export function transfer(
  state: State,
  instruction: IrInstruction,
  here: Here,
): State {
  const { analysis, words } = here;
  const { symbols } = analysis;
  const step = new InstructionStep(state, instruction, here);
  const set = (word: Word): State => {
    if ("result" in instruction) words.set(instruction.result, word);
    return state;
  };
  switch (instruction.kind) {
    case "const":
      return set(number(instruction.value));
    case "map":
      return set(pointer({ kind: "map", map: instruction.map }, 0));
    case "map-value":
      return set(globalPointer(instruction, step));
    case "function":
      return set(pointer({ kind: "function", name: instruction.name }, 0));
    case "kernel-symbol":
      return set(pointer({ kind: "kernel" }, 0));
    case "slot":
      return set(
        pointer({ kind: "slot", slot: instruction.slot }, instruction.offset),
      );
    case "binary":
      return set(arithmetic(instruction, step));
    case "unary":
      return set(unary(instruction.op, step.word(instruction.value), symbols));
    case "extract": {
      const bits = bitsOf(step.word(instruction.value), symbols);
      const from = 8 * instruction.start;
      return set(fromBits(bits.slice(from, from + 8 * instruction.size)));
    }
    case "concat": {
      const [only] = instruction.parts;
      if (instruction.parts.length === 1 && only?.size === 8)
        return set(step.word(only.value));
      return set(
        fromBits(
          instruction.parts.flatMap(({ value, size }) =>
            bitsOf(step.word(value), symbols).slice(0, 8 * size),
          ),
        ),
      );
    }
    case "undefined":
      return set(opaqueWord(symbols.unknown("never written")));
    case "address-cast":
      return set(opaqueWord(symbols.unknown("an arena address")));
    case "load":
      return set(load(state, instruction, step));
    case "load-packet":
      return set(loadPacket(state, instruction, step));
    case "store":
      return store(state, instruction, step);
    case "atomic":
      return atomic(state, instruction, { step, set });
    case "call": {
      const { state: after, result } = call(state, instruction, step);
      words.set(instruction.result, result);
      return after;
    }
  }
}

class InstructionStep implements Step {
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

function globalPointer(
  { map, offset }: { readonly map: string; readonly offset: number },
  step: Step,
): Word {
  const size = 8 * (step.mapSpec(map)?.keySize ?? 4);
  const key = Array.from({ length: size }, () => 0);
  return pointer(
    { kind: "cell", cell: { object: map, key, root: -1 } },
    offset,
  );
}

function arithmetic(
  instruction: Extract<IrInstruction, { kind: "binary" }>,
  step: Step,
): Word {
  const { op, width } = instruction;
  const { symbols } = step;
  const left = step.word(instruction.left);
  const right = step.word(instruction.right);
  if (left.kind !== "pointer" && right.kind !== "pointer")
    return binary(op, { left, right }, width, symbols);
  if (op === "add" && width === 64) {
    if (left.kind === "pointer" && right.kind !== "pointer")
      return movePointer(left, right, symbols);
    if (right.kind === "pointer" && left.kind !== "pointer")
      return movePointer(right, left, symbols);
  }
  if (op === "sub" && width === 64 && left.kind === "pointer") {
    if (right.kind === "number")
      return movePointer(left, number(-right.value), symbols);
    if (right.kind === "pointer") return distance(left, right, symbols);
  }
  return opaqueWord(symbols.unknown("an address"));
}

function distance(
  left: Extract<Word, { kind: "pointer" }>,
  right: Extract<Word, { kind: "pointer" }>,
  symbols: Symbols,
): Word {
  const ends = [left.target.kind, right.target.kind];
  if (ends.includes("packet-end") || ends.includes("packet"))
    return opaqueWord(symbols.opaque({ kind: "environment", what: "length" }));
  return opaqueWord(symbols.unknown("a distance of addresses"));
}

function load(
  state: State,
  instruction: Extract<IrInstruction, { kind: "load" }>,
  step: Step,
): Word {
  const { symbols } = step;
  const { size, signed } = instruction;
  const address = displaced(
    step.word(instruction.address),
    instruction.offset,
    symbols,
  );
  const width = signed ? 64 : 8 * size;
  if (address.kind !== "pointer") {
    step.touch({ op: "read", object: ANY_OBJECT, size });
    return opaqueWord(symbols.unknown("loaded from somewhere"), width);
  }
  const { target, offset } = address;
  switch (target.kind) {
    case "context":
      return contextField(offset, size, step);
    case "packet": {
      const bytes = readBytes(state, address, size, symbols);
      if (bytes !== undefined) return assemble(bytes, signed, symbols);
      const text = "a byte at a variable offset";
      return opaqueWord(symbols.opaque({ kind: "payload", text }), width);
    }
    case "slot": {
      const bytes = readBytes(state, address, size, symbols);
      if (bytes !== undefined) return assemble(bytes, signed, symbols);
      return opaqueWord(symbols.unknown("a stack byte somewhere"), width);
    }
    case "cell":
      return loadCell(target.cell, { offset, size, width }, step);
    case "packet-end":
    case "map":
    case "function":
    case "kernel":
      return opaqueWord(symbols.unknown("kernel memory"), width);
  }
}

function loadCell(
  cell: Cell,
  place: {
    readonly offset: number | undefined;
    readonly size: Size;
    readonly width: number;
  },
  step: Step,
): Word {
  const { symbols } = step;
  const spec = step.mapSpec(cell.object);
  if (spec?.readOnly === true && spec.data !== undefined) {
    const constant = constantAt(spec.data, place.offset, place.size);
    if (constant !== undefined) return constant;
  }
  step.touchCell("read", cell, place);
  return opaqueWord(
    symbols.opaque({ kind: "state", object: cell.object }),
    place.width,
  );
}

/** A field of the context that the program type's table names. */
function contextField(
  offset: number | undefined,
  size: Size,
  step: Step,
): Word {
  const { symbols } = step;
  const fields = programTypeRow(step.programType).context;
  const field = fields.find(
    (row) => row.offset === offset && row.size === size,
  );
  const width = 8 * size;
  switch (field?.meaning) {
    case "packet":
      return pointer({ kind: "packet", base: 0 }, 0);
    case "packet-end":
      return pointer({ kind: "packet-end" }, 0);
    case "ingress-ifindex":
      return inputWord("ifindex", symbols);
    case "rx-queue":
      return inputWord("queue", symbols);
    case "packet-length":
      return opaqueWord(
        symbols.opaque({ kind: "environment", what: "length" }),
        width,
      );
    case "packet-meta":
      return pointer({ kind: "kernel" }, 0);
    case "egress-ifindex":
    case "protocol":
    case "scalar":
    case "socket":
    case undefined:
      return opaqueWord(symbols.unknown("a field of the context"), width);
  }
}

/** LD_ABS and LD_IND: network order, from the frame's start. */
function loadPacket(
  state: State,
  instruction: Extract<IrInstruction, { kind: "load-packet" }>,
  step: Step,
): Word {
  const { symbols } = step;
  const { size, imm, index } = instruction;
  const start = {
    kind: "pointer",
    target: { kind: "packet", base: 0 },
    offset: imm,
  } as const;
  const address =
    index === undefined || imm < 0
      ? start
      : movePointer(start, step.word(index), symbols);
  const bytes = imm < 0 ? undefined : readBytes(state, address, size, symbols);
  if (bytes === undefined) {
    const text = "a byte at a variable offset";
    return opaqueWord(symbols.opaque({ kind: "payload", text }), 8 * size);
  }
  return assemble(bytes.toReversed(), false, symbols);
}

function store(
  state: State,
  instruction: Extract<IrInstruction, { kind: "store" }>,
  step: Step,
): State {
  const { symbols } = step;
  const { size } = instruction;
  const address = displaced(
    step.word(instruction.address),
    instruction.offset,
    symbols,
  );
  if (address.kind !== "pointer") {
    step.touch({ op: "write", object: ANY_OBJECT, size });
    return loseFrame(loseSlots(state, symbols));
  }
  const { target, offset } = address;
  const bytes = (): ReturnType<typeof bytesOf> =>
    bytesOf(step.word(instruction.value), size, symbols);
  switch (target.kind) {
    case "slot":
      return writeSlot(state, { slot: target.slot, offset }, bytes(), symbols);
    case "packet":
      return writeFrame(state, { base: target.base, offset }, bytes());
    case "cell":
      step.touchCell("write", target.cell, { offset, size });
      return state;
    case "context":
    case "packet-end":
    case "map":
    case "function":
    case "kernel":
      return state;
  }
}

function atomic(
  state: State,
  instruction: Extract<IrInstruction, { kind: "atomic" }>,
  { step, set }: { readonly step: Step; readonly set: (word: Word) => State },
): State {
  const { symbols } = step;
  const { size, op, fetch } = instruction;
  const address = displaced(
    step.word(instruction.address),
    instruction.offset,
    symbols,
  );
  const width = 8 * size;
  set(opaqueWord(symbols.unknown("an old value"), width));
  if (address.kind !== "pointer") {
    step.touch({ op: "write", object: ANY_OBJECT, size });
    return loseFrame(loseSlots(state, symbols));
  }
  const { target, offset } = address;
  if (target.kind === "cell") {
    const { cell } = target;
    const kind = op === "add" ? "add" : "write";
    step.touchCell(kind, cell, { offset, size, atomic: true });
    const form = symbols.opaque({ kind: "state", object: cell.object });
    set(opaqueWord(fetch ? form : 0, width));
    return state;
  }
  if (target.kind === "slot") {
    const lost = symbols.unknown("changed by an atomic instruction");
    const bytes = bytesOf(opaqueWord(lost), size, symbols);
    return writeSlot(state, { slot: target.slot, offset }, bytes, symbols);
  }
  return state;
}

function displaced(word: Word, offset: number, symbols: Symbols): Word {
  return word.kind === "pointer" && offset !== 0
    ? movePointer(word, number(BigInt(offset)), symbols)
    : word;
}

/** Line 0 is how compilers say that code belongs to no line. */
function placeOf(at: Place): Place {
  return at.line === 0
    ? { function: at.function, instruction: at.instruction }
    : at;
}
