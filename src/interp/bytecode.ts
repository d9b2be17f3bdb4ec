/**
 * Bytecode to threaded code, one step an instruction.
 *
 *   slots 0 … 10   r0 … r10 (r10 is a constant: the frame's top)
 *   slot  11       scratch
 *   from 12 on     the function's immediates and addresses, each a 64-bit word
 *
 * so that an immediate operand is a slot like a register.
 */
import { unreachable, type Place } from "../base/index.ts";
import {
  placeOf,
  type AluOp,
  type EndianOp,
  type FunctionSpec,
  type Instruction,
  type Operand,
  type WideValue,
} from "../isa/index.ts";
import type { BinaryOp } from "../ir/index.ts";
import type { Code, Executor } from "./code.ts";
import { branchStep, callStep, refuse } from "./control-steps.ts";
import { fault } from "./fault.ts";
import { atomicStep, loadStep, storeStep } from "./memory-steps.ts";
import { packetLoadStep } from "./packet-load.ts";
import {
  binarySteps,
  copyStep,
  returned,
  unarySteps,
  type Step,
  type UnaryStep,
} from "./word-steps.ts";

const scratch = 11;
const firstConstant = 12;

export function compileBytecode(machine: Executor, fn: FunctionSpec): Code {
  const constants = new Constants();
  const places: Place[] = [];
  const place = (index: number): Place =>
    (places[index] ??= placeOf(fn, index));
  const { instruction: seen } = machine.observer;
  const steps = fn.instructions.map((instruction, index): Step => {
    const step = compile(instruction, {
      machine,
      constants,
      next: index + 1,
      mark: () => machine.mark({ place }, index),
      at: () => place(index),
    });
    if (seen === undefined) return step;
    return (frame) => {
      seen(place(index));
      return step(frame);
    };
  });
  return {
    name: fn.name,
    steps,
    params: [1, 2, 3, 4, 5],
    cleared: 80,
    place,
    makeFrame: (top) => constants.frame(top),
    frames: [],
  };
}

class Constants {
  readonly #slots = new Map<bigint, number>();

  slot(value: bigint): number {
    const word = BigInt.asUintN(64, value);
    const known = this.#slots.get(word);
    if (known !== undefined) return known;
    const slot = firstConstant + this.#slots.size;
    this.#slots.set(word, slot);
    return slot;
  }
  frame(top: number): DataView {
    const size = 8 * (firstConstant + this.#slots.size);
    const frame = new DataView(new ArrayBuffer(size));
    frame.setBigUint64(80, BigInt(top), true);
    for (const [word, slot] of this.#slots)
      frame.setBigUint64(8 * slot, word, true);
    return frame;
  }
}

interface Site {
  readonly machine: Executor;
  readonly constants: Constants;
  readonly next: number;
  readonly mark: () => void;
  readonly at: () => Place;
}

function compile(instruction: Instruction, site: Site): Step {
  const { machine, constants, next, mark, at } = site;
  const operand = (source: Operand): number =>
    source.kind === "register"
      ? source.register
      : constants.slot(BigInt(source.value));
  switch (instruction.kind) {
    case "alu":
      return compileAlu(instruction, operand(instruction.src), next);
    case "neg": {
      const { dst, width } = instruction;
      return unarySteps[width === 32 ? "neg32" : "neg64"]({
        d: dst,
        s: dst,
        next,
      });
    }
    case "endian": {
      const { dst, op } = instruction;
      return endian[op]({ d: dst, s: dst, next });
    }
    case "load-wide": {
      const { dst, value } = instruction;
      const word = wideWord(machine, value);
      if (word === undefined) return () => refuse(describeWide(value), at());
      return copyStep({ d: dst, s: constants.slot(word), next });
    }
    case "load":
    case "load-acquire": {
      const { dst, base, offset, size } = instruction;
      const signed = instruction.kind === "load" && instruction.signed;
      return loadStep(machine, { base, offset, size, next, mark }, dst, signed);
    }
    case "store":
    case "store-release": {
      const { base, offset, size, src } = instruction;
      const slot = typeof src === "number" ? src : operand(src);
      return storeStep(machine, { base, offset, size, next, mark }, slot);
    }
    case "atomic": {
      const { op, base, offset, size, src, fetch } = instruction;
      const compare = op === "cmpxchg";
      const result = compare ? 0 : src;
      return atomicStep(
        machine,
        { base, offset, size, next, mark },
        {
          op,
          value: src,
          ...(fetch ? { result } : {}),
          ...(compare ? { expected: 0 } : {}),
        },
      );
    }
    case "jump": {
      const { target } = instruction;
      return () => target;
    }
    case "branch": {
      const { op, width, left, right, target } = instruction;
      const slots = { op, width, l: left, r: operand(right), taken: target };
      return branchStep(machine, { ...slots, next }, at);
    }
    case "may-goto":
      // Time never runs out here before the budget does.
      return () => next;
    case "call": {
      const args = [1, 2, 3, 4, 5];
      const { callee } = instruction;
      return callStep(machine, { callee, args, result: 0, next, mark, at });
    }
    case "call-register":
      return () => fault("call through a register");
    case "exit":
      return () => returned;
    case "load-packet":
      return packetLoadStep(machine, instruction, { result: 0, next });
    case "address-cast":
      return () => refuse("arena address cast", at());
    default:
      return unreachable(instruction);
  }
}

type Alu = Extract<Instruction, { kind: "alu" }>;

function compileAlu({ op, width, dst }: Alu, src: number, next: number): Step {
  if (isBinary(op))
    return binarySteps[op][width]({ d: dst, l: dst, r: src, next });
  if (width === 32 && op === "mov")
    return unarySteps.zext32({ d: dst, s: src, next });
  const move = moves[op];
  if (width === 64) return move({ d: dst, s: src, next });
  const first = move({ d: scratch, s: src, next });
  const second = unarySteps.zext32({ d: dst, s: scratch, next });
  return (frame) => {
    first(frame);
    return second(frame);
  };
}

type MoveOp = Exclude<AluOp, BinaryOp>;
const moves: Readonly<Record<MoveOp, UnaryStep>> = {
  mov: copyStep,
  movsx8: unarySteps.sext8,
  movsx16: unarySteps.sext16,
  movsx32: unarySteps.sext32,
};

function isBinary(op: AluOp): op is BinaryOp {
  return op in binarySteps;
}

const endian: Readonly<Record<EndianOp, UnaryStep>> = {
  le16: unarySteps.zext16,
  le32: unarySteps.zext32,
  le64: copyStep,
  be16: unarySteps.swap16,
  be32: unarySteps.swap32,
  be64: unarySteps.swap64,
  bswap16: unarySteps.swap16,
  bswap32: unarySteps.swap32,
  bswap64: unarySteps.swap64,
};

function wideWord(machine: Executor, value: WideValue): bigint | undefined {
  switch (value.kind) {
    case "number":
      return value.value;
    case "map":
      return BigInt(machine.state.handleOf(value.map));
    case "map-value":
      return BigInt(machine.valueAddress(value.map, value.offset));
    case "function":
      return BigInt(machine.functionAddress(value.name));
    case "kernel-symbol":
    case "raw":
      return undefined;
  }
}

function describeWide(value: WideValue): string {
  return value.kind === "kernel-symbol"
    ? `kernel symbol ${value.name}`
    : "value for an unlinked 64-bit load";
}
