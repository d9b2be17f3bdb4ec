/**
 * What one instruction does to a state. Words of the block's values stand in a
 * map of their own; touches of state objects are reported through `Step`.
 */
import type { IrInstruction } from "../ir/index.ts";
import { call } from "./calls.ts";
import { movePointer } from "./memory.ts";
import { atomic, load, loadPacket, store } from "./memory-access.ts";
import type { State } from "./state.ts";
import { InstructionStep, type Here, type Step } from "./step.ts";
import type { Symbols } from "./symbols.ts";
import { binary, unary } from "./arithmetic.ts";
import {
  bitsOf,
  fromBits,
  number,
  opaqueWord,
  pointer,
  type Word,
} from "./word.ts";

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
