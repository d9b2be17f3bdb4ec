/**
 * Loads, stores and atomic instructions: where the address leads decides whether
 * a header bit is read, a slot is written or a state object is touched.
 */
import type { IrInstruction } from "../ir/index.ts";
import { programTypeRow, type Size } from "../isa/index.ts";
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
import type { State } from "./state.ts";
import type { Step } from "./step.ts";
import type { Symbols } from "./symbols.ts";
import { ANY_OBJECT } from "./touch.ts";
import {
  fromBits,
  number,
  opaqueWord,
  pointer,
  type Cell,
  type Word,
} from "./word.ts";

export function load(
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
  const spec = step.mapSpec(cell.object);
  if (spec?.readOnly === true && spec.data !== undefined) {
    const constant = constantAt(spec.data, place.offset, place.size);
    if (constant !== undefined) return constant;
  }
  step.touchCell("read", cell, place);
  const bits = step.loaded(cell, place);
  const sign = bits.at(-1) ?? 0;
  return fromBits(
    Array.from({ length: place.width }, (_, at) => bits[at] ?? sign),
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
      step.reads("queue");
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
export function loadPacket(
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

export function store(
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
      return step.storeCell(target.cell, { offset, bytes: bytes() });
    case "context":
    case "packet-end":
    case "map":
    case "function":
    case "kernel":
      return state;
  }
}

export function atomic(
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
    set(opaqueWord(fetch ? step.madeOf(cell) : 0, width));
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
