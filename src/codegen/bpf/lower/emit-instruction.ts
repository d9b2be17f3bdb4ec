/**
 * One instruction of low code with registers. What the machine does in place gets
 * a move in front where the left operand is in another register than the result;
 * one on the stack is loaded into the result's. Results of groups that have a slot
 * are stored there as well.
 */
import type { Instruction, Register } from "../../../isa/index.ts";
import {
  argumentRegisters,
  type LowInstruction,
  type Virtual,
} from "./low-code.ts";
import { intoRegister, move, storeWord, type Copy } from "./parallel-copy.ts";
import type { Places } from "./places.ts";

export interface Writer {
  readonly put: (...instructions: readonly Instruction[]) => void;
  /** All at once. */
  readonly copy: (copies: readonly Copy[], free: readonly Register[]) => void;
  readonly call: (call: Instruction, args: number) => void;
  /** Together with the copies in front of the next instruction. */
  readonly later: (copies: readonly Copy[]) => void;
}

export function emitInstruction(
  instruction: LowInstruction,
  position: number,
  places: Places,
  writer: Writer,
): void {
  new InstructionEmitter(places, writer).emit(instruction, position);
}

class InstructionEmitter {
  readonly #places: Places;
  readonly #writer: Writer;

  constructor(places: Places, writer: Writer) {
    this.#places = places;
    this.#writer = writer;
  }

  /** After a result was written to its register: to its slot, if it has one. */
  #written(virtual: Virtual, register: Register): void {
    const group = this.#places.groupOf(virtual);
    if (group.isSpilled) this.#writer.put(storeWord(group.slot, register));
  }

  /**
   * A result that the machine leaves in r0. It appears where the next instruction
   * begins, together with what moves there.
   */
  #result(dst: Virtual | undefined, position: number): void {
    if (dst === undefined) return;
    const from = { kind: "register", register: 0 } as const;
    this.#writer.later(
      this.#places.homes(dst, position + 2).map((to) => ({ to, from })),
    );
  }

  emit(instruction: LowInstruction, position: number): void {
    switch (instruction.kind) {
      case "make": {
        const dst = this.#places.register(instruction.dst, position + 1);
        this.#writer.put(...intoRegister(dst, instruction.value));
        this.#written(instruction.dst, dst);
        return;
      }
      case "move":
      case "neg":
      case "endian":
      case "alu":
        this.#inPlace(instruction, position);
        return;
      case "extend": {
        const dst = this.#places.register(instruction.dst, position + 1);
        const register = this.#places.register(instruction.src, position);
        this.#writer.put({
          kind: "alu",
          op: `movsx${instruction.bits}`,
          width: 64,
          dst,
          src: { kind: "register", register },
        });
        this.#written(instruction.dst, dst);
        return;
      }
      case "address-cast": {
        const dst = this.#places.register(instruction.dst, position + 1);
        const src = this.#places.register(instruction.src, position);
        const { spaces } = instruction;
        this.#writer.put({ kind: "address-cast", dst, src, spaces });
        this.#written(instruction.dst, dst);
        return;
      }
      case "load": {
        const { size, signed, acquire, offset } = instruction;
        const base = this.#places.base(instruction.base, position);
        const dst = this.#places.register(instruction.dst, position + 1);
        this.#writer.put(
          acquire
            ? { kind: "load-acquire", size, dst, base, offset }
            : { kind: "load", size, signed, dst, base, offset },
        );
        this.#written(instruction.dst, dst);
        return;
      }
      case "store": {
        const { size, offset, release } = instruction;
        const base = this.#places.base(instruction.base, position);
        const src = this.#places.operand(instruction.src, position);
        if (release && src.kind === "register")
          this.#writer.put({
            kind: "store-release",
            size,
            base,
            offset,
            src: src.register,
          });
        else this.#writer.put({ kind: "store", size, base, offset, src });
        return;
      }
      case "atomic":
        this.#atomic(instruction, position);
        return;
      case "call": {
        const copies = instruction.args.flatMap((argument, index): Copy[] => {
          const register = argumentRegisters[index];
          if (argument === undefined || register === undefined) return [];
          const from = this.#places.sourceOf(argument, position);
          return [{ to: { kind: "register", register }, from }];
        });
        this.#writer.copy(copies, [0]);
        const { callee, args } = instruction;
        this.#writer.call({ kind: "call", callee }, args.length);
        this.#result(instruction.dst, position);
        return;
      }
      case "load-packet": {
        const { size, imm, index } = instruction;
        const from =
          index === undefined
            ? {}
            : { index: this.#places.register(index, position) };
        this.#writer.put({ kind: "load-packet", size, imm, ...from });
        this.#result(instruction.dst, position);
        return;
      }
    }
  }

  /** `dst op= right`, with the left operand moved into dst. */
  #inPlace(
    instruction: LowInstruction & {
      readonly kind: "move" | "neg" | "endian" | "alu";
    },
    position: number,
  ): void {
    const dst = this.#places.register(instruction.dst, position + 1);
    const left = this.#places.location(instruction.left, position);
    switch (instruction.kind) {
      case "move": {
        const { width } = instruction;
        if (width === 64) this.#writer.put(...intoRegister(dst, left));
        else if (left.kind === "register")
          this.#writer.put(move(dst, left.register, 32));
        else
          this.#writer.put({
            kind: "load",
            size: 4,
            signed: false,
            dst,
            base: 10,
            offset: left.offset,
          });
        break;
      }
      case "neg":
        this.#writer.put(...intoRegister(dst, left));
        this.#writer.put({ kind: "neg", width: instruction.width, dst });
        break;
      case "endian":
        this.#writer.put(...intoRegister(dst, left));
        this.#writer.put({ kind: "endian", op: instruction.op, dst });
        break;
      case "alu": {
        const { op, width, right } = instruction;
        const isSame =
          right.kind === "virtual" && right.virtual === instruction.left;
        this.#writer.put(...intoRegister(dst, left));
        const src = isSame
          ? ({ kind: "register", register: dst } as const)
          : this.#places.operand(right, position);
        this.#writer.put({ kind: "alu", op, width, dst, src });
        break;
      }
    }
    this.#written(instruction.dst, dst);
  }

  #atomic(
    instruction: LowInstruction & { readonly kind: "atomic" },
    position: number,
  ): void {
    const { op, size, offset, value, expected, dst } = instruction;
    const base = this.#places.base(instruction.base, position);
    const put = (src: Register, fetch: boolean): void => {
      this.#writer.put({ kind: "atomic", op, size, fetch, base, offset, src });
    };
    if (dst === undefined) put(this.#places.register(value, position), false);
    else if (expected === undefined) {
      const register = this.#places.register(dst, position + 1);
      this.#writer.put(
        ...intoRegister(register, this.#places.location(value, position)),
      );
      put(register, true);
      this.#written(dst, register);
    } else {
      this.#writer.put(
        ...intoRegister(0, this.#places.sourceOf(expected, position)),
      );
      put(this.#places.register(value, position), true);
      this.#result(dst, position);
    }
  }
}
