/** Selection of one IR instruction; an empty list when nobody wants its result. */
import type { IrFunction, IrInstruction, ValueId } from "../../../ir/index.ts";
import type { Size } from "../../../isa/index.ts";
import type { LowInstruction, LowOperand } from "./low-code.ts";
import {
  selectBinary,
  selectConcat,
  selectExtract,
  selectUnary,
} from "./select-arithmetic.ts";
import { immediateOf, type Operands } from "./select-operands.ts";
import { Sequence } from "./select-sequence.ts";

export interface SelectOptions {
  /** Sign-extending loads and moves, signed division (kernel 6.6). */
  readonly isV4: boolean;
}

interface Context extends SelectOptions {
  readonly fn: IrFunction;
}

export function selectInstruction(
  instruction: IrInstruction,
  operands: Operands,
  { fn, isV4 }: Context,
): readonly LowInstruction[] {
  const { at } = instruction;
  const to = new Sequence(at, operands, isV4);
  const dst =
    "result" in instruction ? operands.resultOf(instruction.result) : undefined;
  switch (instruction.kind) {
    // Made where they are needed.
    case "const":
    case "map":
    case "map-value":
    case "function":
    case "kernel-symbol":
    case "slot":
    case "undefined":
      return [];
    case "binary":
      if (dst !== undefined) selectBinary(instruction, dst, to);
      return to.list;
    case "unary":
      if (dst !== undefined) selectUnary(instruction, dst, to);
      return to.list;
    case "extract":
      if (dst !== undefined) selectExtract(instruction, dst, to);
      return to.list;
    case "concat":
      if (dst !== undefined) selectConcat(instruction, dst, to);
      return to.list;
    case "address-cast":
      if (dst !== undefined) {
        const src = operands.register(instruction.value, to.front);
        const { spaces } = instruction;
        to.list.push({ kind: "address-cast", dst, src, spaces, at });
      }
      return to.list;
    case "load": {
      const { size, signed, acquire = false } = instruction;
      const { base, offset } = operands.address(
        instruction.address,
        instruction.offset,
        to.front,
      );
      const result = dst ?? to.temporary();
      const load = { kind: "load", size, base, offset, acquire, at } as const;
      if (!signed || isV4) to.list.push({ ...load, signed, dst: result });
      else {
        const word = to.temporary();
        to.list.push({ ...load, signed: false, dst: word });
        if (size !== 8) to.signExtend(result, word, (8 * size) as 8 | 16 | 32);
      }
      return to.list;
    }
    case "store": {
      const { size, value, release = false } = instruction;
      const { base, offset } = operands.address(
        instruction.address,
        instruction.offset,
        to.front,
      );
      const takesImmediate =
        !release &&
        (base.kind === "frame-pointer" || isPlain(fn, instruction.address));
      const src = takesImmediate
        ? storeOperand(value, size, to)
        : ({
            kind: "virtual",
            virtual: operands.register(value, to.front),
          } as const);
      to.list.push({ kind: "store", size, base, offset, src, release, at });
      return to.list;
    }
    case "atomic": {
      const { op, size, fetch, expected } = instruction;
      const { base, offset } = operands.address(
        instruction.address,
        instruction.offset,
        to.front,
      );
      const value = operands.register(instruction.value, to.front);
      to.list.push({
        kind: "atomic",
        op,
        size,
        base,
        offset,
        value,
        ...(expected === undefined
          ? {}
          : { expected: operands.source(expected) }),
        ...(fetch ? { dst: dst ?? to.temporary() } : {}),
        at,
      });
      return to.list;
    }
    case "call": {
      const args = instruction.args.map((value) =>
        operands.isUndefined(value) ? undefined : operands.source(value),
      );
      const { callee } = instruction;
      const result = dst === undefined ? {} : { dst };
      return [{ kind: "call", callee, args, ...result, at }];
    }
    case "load-packet": {
      const { size, imm, index } = instruction;
      const { pinned } = operands;
      const context = operands.register(instruction.context, to.front);
      if (pinned !== undefined && context !== pinned)
        to.move(pinned, context, 64);
      to.list.push({
        kind: "load-packet",
        size,
        imm,
        ...(index === undefined
          ? {}
          : { index: operands.register(index, to.front) }),
        ...(dst === undefined ? {} : { dst }),
        at,
      });
      return to.list;
    }
  }
}

/** Memory into which kernels of all ages let a constant be stored. */
function isPlain(fn: IrFunction, address: ValueId): boolean {
  const type = fn.values[address];
  if (type?.kind !== "pointer") return false;
  switch (type.region.kind) {
    case "slot":
    case "frame":
    case "packet":
    case "packet-meta":
    case "map-value":
      return true;
    case "context":
    case "packet-end":
    case "map":
    case "function":
    case "kernel":
    case "unknown":
      return false;
  }
}

function storeOperand(value: ValueId, size: Size, to: Sequence): LowOperand {
  const word = to.operands.constant(value);
  if (word !== undefined) {
    const number = immediateOf(
      size === 8 ? word : BigInt.asUintN(8 * size, word),
      size === 8 ? 64 : 32,
    );
    if (number !== undefined) return { kind: "immediate", value: number };
  }
  return {
    kind: "virtual",
    virtual: to.operands.register(value, to.front),
  };
}
