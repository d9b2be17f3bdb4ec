/** The instructions that one IR instruction becomes, while they are collected. */
import type { Place } from "../../../base/index.ts";
import type { AluOp, Width } from "../../../isa/index.ts";
import type { LowInstruction, LowOperand, Virtual } from "./low-code.ts";
import type { Front, Operands } from "./select-operands.ts";

export type LowAlu = Exclude<AluOp, "mov">;

export class Sequence {
  readonly at: Place;
  readonly list: LowInstruction[] = [];
  readonly operands: Operands;
  readonly isV4: boolean;

  constructor(at: Place, operands: Operands, isV4: boolean) {
    this.at = at;
    this.operands = operands;
    this.isV4 = isV4;
  }

  get front(): Front {
    return { at: this.at, put: (instruction) => this.list.push(instruction) };
  }

  temporary(): Virtual {
    return this.operands.newVirtual();
  }

  alu(
    op: LowAlu,
    width: Width,
    operation: { dst: Virtual; left: Virtual; right: LowOperand | number },
  ): Virtual {
    const { dst, left, right } = operation;
    this.list.push({
      kind: "alu",
      op,
      width,
      dst,
      left,
      right:
        typeof right === "number" ? { kind: "immediate", value: right } : right,
      at: this.at,
    });
    return dst;
  }

  move(dst: Virtual, left: Virtual, width: Width): Virtual {
    this.list.push({ kind: "move", dst, left, width, at: this.at });
    return dst;
  }

  /** The low `bits` of a word. */
  mask(dst: Virtual, left: Virtual, bits: number): Virtual {
    if (bits >= 64) return this.move(dst, left, 64);
    if (bits === 32) return this.move(dst, left, 32);
    if (bits < 32)
      return this.alu("and", 64, { dst, left, right: 2 ** bits - 1 });
    const shifted = this.temporary();
    this.alu("lsh", 64, { dst: shifted, left, right: 64 - bits });
    return this.alu("rsh", 64, { dst, left: shifted, right: 64 - bits });
  }

  signExtend(dst: Virtual, src: Virtual, bits: 8 | 16 | 32): void {
    if (this.isV4) {
      this.list.push({ kind: "extend", bits, dst, src, at: this.at });
      return;
    }
    const shifted = this.temporary();
    this.alu("lsh", 64, { dst: shifted, left: src, right: 64 - bits });
    this.alu("arsh", 64, { dst, left: shifted, right: 64 - bits });
  }
}
