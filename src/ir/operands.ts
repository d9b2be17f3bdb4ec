/**
 * The values that an instruction reads, and the instruction with other values:
 * the one place that knows where operands stand.
 */
import type {
  Edge,
  IrInstruction,
  SlotId,
  Terminator,
  ValueId,
} from "./program.ts";

export function operandsOf(instruction: IrInstruction): readonly ValueId[] {
  switch (instruction.kind) {
    case "const":
    case "map":
    case "map-value":
    case "function":
    case "kernel-symbol":
    case "slot":
    case "undefined":
      return [];
    case "binary":
      return [instruction.left, instruction.right];
    case "unary":
    case "extract":
    case "address-cast":
      return [instruction.value];
    case "concat":
      return instruction.parts.map((part) => part.value);
    case "load":
      return [instruction.address];
    case "store":
      return [instruction.address, instruction.value];
    case "atomic":
      return instruction.expected === undefined
        ? [instruction.address, instruction.value]
        : [instruction.address, instruction.value, instruction.expected];
    case "call":
      return instruction.args;
    case "load-packet":
      return instruction.index === undefined
        ? [instruction.context]
        : [instruction.context, instruction.index];
  }
}

/** What a terminator itself reads; arguments of its edges not included. */
export function terminatorOperands(terminator: Terminator): readonly ValueId[] {
  switch (terminator.kind) {
    case "branch":
      return [terminator.left, terminator.right];
    case "return":
      return [terminator.value];
    case "jump":
    case "may-goto":
    case "trap":
      return [];
  }
}

export interface Renaming {
  readonly value: (value: ValueId) => ValueId;
  /** Default: the result keeps its name. */
  readonly result?: (value: ValueId) => ValueId;
  readonly slot?: (slot: SlotId) => SlotId;
}

export function mapInstruction(
  instruction: IrInstruction,
  renaming: Renaming,
): IrInstruction {
  const { value } = renaming;
  const slot = renaming.slot ?? ((name) => name);
  const renamed = ((): IrInstruction => {
    switch (instruction.kind) {
      case "const":
      case "map":
      case "map-value":
      case "function":
      case "kernel-symbol":
      case "undefined":
        return instruction;
      case "slot":
        return { ...instruction, slot: slot(instruction.slot) };
      case "binary":
        return {
          ...instruction,
          left: value(instruction.left),
          right: value(instruction.right),
        };
      case "unary":
      case "extract":
      case "address-cast":
        return { ...instruction, value: value(instruction.value) };
      case "concat":
        return {
          ...instruction,
          parts: instruction.parts.map((part) => ({
            ...part,
            value: value(part.value),
          })),
        };
      case "load":
        return { ...instruction, address: value(instruction.address) };
      case "store":
        return {
          ...instruction,
          address: value(instruction.address),
          value: value(instruction.value),
        };
      case "atomic":
        return {
          ...instruction,
          address: value(instruction.address),
          value: value(instruction.value),
          ...(instruction.expected === undefined
            ? {}
            : { expected: value(instruction.expected) }),
        };
      case "call":
        return { ...instruction, args: instruction.args.map(value) };
      case "load-packet":
        return {
          ...instruction,
          context: value(instruction.context),
          ...(instruction.index === undefined
            ? {}
            : { index: value(instruction.index) }),
        };
    }
  })();
  return "result" in renamed && renaming.result !== undefined
    ? { ...renamed, result: renaming.result(renamed.result) }
    : renamed;
}

export function mapTerminator(
  terminator: Terminator,
  value: (value: ValueId) => ValueId,
  edge: (edge: Edge) => Edge,
): Terminator {
  switch (terminator.kind) {
    case "jump":
      return { ...terminator, to: edge(terminator.to) };
    case "branch":
      return {
        ...terminator,
        left: value(terminator.left),
        right: value(terminator.right),
        then: edge(terminator.then),
        otherwise: edge(terminator.otherwise),
      };
    case "may-goto":
      return {
        ...terminator,
        then: edge(terminator.then),
        otherwise: edge(terminator.otherwise),
      };
    case "return":
      return { ...terminator, value: value(terminator.value) };
    case "trap":
      return terminator;
  }
}
