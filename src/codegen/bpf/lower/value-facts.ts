/**
 * What selection knows of the values of a function: how each is defined, how
 * often it is used, and a number of bits that holds it (`x < 2^bits`).
 *
 * Bits by an upward fixed point from 0, so that the parameter of a loop is as
 * narrow as all its arguments are.
 */
import {
  edgesOf,
  operandsOf,
  reversePostorder,
  terminatorOperands,
  type Block,
  type IrFunction,
  type IrInstruction,
  type ValueId,
} from "../../../ir/index.ts";

export interface ValueFacts {
  /** Blocks in reverse postorder. */
  readonly order: readonly Block[];
  readonly definition: (value: ValueId) => IrInstruction | undefined;
  readonly bits: (value: ValueId) => number;
  /** Used as the address of loads, stores and atomics only. */
  readonly isAddressOnly: (value: ValueId) => boolean;
  readonly constant: (value: ValueId) => bigint | undefined;
}

export function valueFacts(fn: IrFunction): ValueFacts {
  const order = reversePostorder(fn).flatMap((at) => fn.blocks[at] ?? []);
  const definitions: (IrInstruction | undefined)[] = fn.values.map(
    () => undefined,
  );
  const uses = new Int32Array(fn.values.length);
  const addressUses = new Int32Array(fn.values.length);
  const count = (value: ValueId): void => {
    uses[value] = (uses[value] ?? 0) + 1;
  };
  for (const block of order) {
    for (const instruction of block.instructions) {
      if ("result" in instruction)
        definitions[instruction.result] = instruction;
      for (const value of operandsOf(instruction)) count(value);
      if ("address" in instruction)
        addressUses[instruction.address] =
          (addressUses[instruction.address] ?? 0) + 1;
    }
    for (const value of terminatorOperands(block.terminator)) count(value);
    for (const edge of edgesOf(block.terminator)) edge.args.forEach(count);
  }
  const bits = knownBits(fn, order);
  const definition = (value: ValueId): IrInstruction | undefined =>
    definitions[value];
  return {
    order,
    definition,
    bits: (value) => bits[value] ?? 64,
    isAddressOnly: (value) => uses[value] === addressUses[value],
    constant: (value) => {
      const found = definitions[value];
      return found?.kind === "const" ? found.value : undefined;
    },
  };
}

function knownBits(fn: IrFunction, order: readonly Block[]): Uint8Array {
  const bits = new Uint8Array(fn.values.length);
  for (const param of fn.params) bits[param] = 64;
  const constants: (bigint | undefined)[] = fn.values.map(() => undefined);
  for (const block of order)
    for (const instruction of block.instructions)
      if (instruction.kind === "const")
        constants[instruction.result] = instruction.value;
  const look = {
    bits: (value: ValueId): number => bits[value] ?? 64,
    constant: (value: ValueId): bigint | undefined => constants[value],
  };
  for (let changed = true; changed;) {
    changed = false;
    const raise = (value: ValueId, to: number): void => {
      if (to <= (bits[value] ?? 64)) return;
      bits[value] = to;
      changed = true;
    };
    for (const block of order) {
      for (const instruction of block.instructions)
        if ("result" in instruction)
          raise(instruction.result, bitsOf(instruction, look));
      for (const edge of edgesOf(block.terminator))
        for (const [index, param] of (
          fn.blocks[edge.block]?.params ?? []
        ).entries()) {
          const argument = edge.args[index];
          if (argument !== undefined) raise(param, look.bits(argument));
        }
    }
  }
  return bits;
}

interface Look {
  readonly bits: (value: ValueId) => number;
  readonly constant: (value: ValueId) => bigint | undefined;
}

function bitsOf(instruction: IrInstruction, look: Look): number {
  switch (instruction.kind) {
    case "const":
      return instruction.value === 0n
        ? 0
        : instruction.value.toString(2).length;
    case "load":
      return instruction.signed ? 64 : 8 * instruction.size;
    case "load-packet":
    case "atomic":
      return 8 * instruction.size;
    case "extract": {
      const { value, start, size } = instruction;
      const left = Math.max(0, look.bits(value) - 8 * start);
      return Math.min(8 * size, left);
    }
    case "concat":
      return instruction.parts.reduce((sum, part) => sum + 8 * part.size, 0);
    case "unary":
      return unaryBits(instruction, look);
    case "binary":
      return binaryBits(instruction, look);
    case "undefined":
      return 0;
    case "map":
    case "map-value":
    case "function":
    case "kernel-symbol":
    case "slot":
    case "store":
    case "call":
    case "address-cast":
      return 64;
  }
}

function unaryBits(
  { op, value }: IrInstruction & { readonly kind: "unary" },
  look: Look,
): number {
  const width = Number(/\d+$/.exec(op)?.[0] ?? 64);
  if (op.startsWith("zext")) return Math.min(width, look.bits(value));
  if (op.startsWith("sext"))
    return look.bits(value) < width ? look.bits(value) : 64;
  return width;
}

function binaryBits(
  { op, width, left, right }: IrInstruction & { readonly kind: "binary" },
  look: Look,
): number {
  const a = Math.min(width, look.bits(left));
  const b = Math.min(width, look.bits(right));
  const count = look.constant(right);
  const shift = count === undefined ? undefined : Number(count) & (width - 1);
  switch (op) {
    case "and":
      return Math.min(a, b);
    case "or":
    case "xor":
      return Math.max(a, b);
    case "rsh":
      return shift === undefined ? a : Math.max(0, a - shift);
    case "lsh":
      return shift === undefined ? width : Math.min(width, a + shift);
    case "div":
    case "mod":
      return a;
    case "add":
      return Math.min(width, Math.max(a, b) + 1);
    case "mul":
      return Math.min(width, a + b);
    case "sub":
    case "sdiv":
    case "smod":
    case "arsh":
      return width;
  }
}
