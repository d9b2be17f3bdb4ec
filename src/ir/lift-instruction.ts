/**
 * One bytecode instruction to SSA instructions: reads and writes the variables
 * of the scope. Moves and accesses to stack pieces only rename values.
 */
import { InputError, id } from "../base/index.ts";
import type {
  EndianOp,
  Instruction,
  Operand,
  Register,
  WideValue,
} from "../isa/index.ts";
import type { FrameLayout } from "./frame-layout.ts";
import type { FunctionBuilder } from "./function-builder.ts";
import type { UnaryOp, ValueId } from "./program.ts";
import type { ArityOf } from "./registers.ts";

export interface Scope {
  readonly block: number;
  /** Current value of each variable, −1 where nothing wrote it. */
  readonly variables: Int32Array;
  readonly builder: FunctionBuilder;
  readonly layout: FrameLayout;
  /** For messages. */
  readonly file: string;
  readonly arityOf: ArityOf;
}

/** What the frame analysis found of this instruction. */
interface FrameFact {
  /** The stack pieces it loads or stores, if it does. */
  readonly pieces: readonly number[] | undefined;
  /** Offset from r10 of its access to the own frame. */
  readonly access: number | undefined;
  /** Its result is r10 plus this. */
  readonly result: number | undefined;
}

export function liftInstruction(
  instruction: Instruction,
  scope: Scope,
  fact: FrameFact,
): void {
  const { builder, block } = scope;
  const write = (register: Register, value: ValueId): void => {
    scope.variables[register] = value;
  };
  switch (instruction.kind) {
    case "alu":
      write(
        instruction.dst,
        fact.result === undefined
          ? liftAlu(instruction, scope)
          : frameAddress(fact.result, scope),
      );
      return;
    case "neg":
      write(
        instruction.dst,
        builder.emit(block, {
          kind: "unary",
          op: instruction.width === 32 ? "neg32" : "neg64",
          value: readRegister(instruction.dst, scope),
        }),
      );
      return;
    case "endian": {
      const op = endianOp(instruction.op);
      const value = readRegister(instruction.dst, scope);
      write(
        instruction.dst,
        op === undefined
          ? value
          : builder.emit(block, { kind: "unary", op, value }),
      );
      return;
    }
    case "address-cast":
      write(
        instruction.dst,
        builder.emit(block, {
          kind: "address-cast",
          value: readRegister(instruction.src, scope),
          spaces: instruction.spaces,
        }),
      );
      return;
    case "load-wide":
      write(instruction.dst, liftWide(instruction.value, scope));
      return;
    case "load":
    case "load-acquire": {
      const signed = instruction.kind === "load" && instruction.signed;
      const { size } = instruction;
      const value =
        fact.pieces === undefined
          ? builder.emit(block, {
              kind: "load",
              ...address(instruction, scope, fact.access),
              size,
              signed,
              ...(instruction.kind === "load-acquire" ? { acquire: true } : {}),
            })
          : readPieces(fact.pieces, scope);
      const extend = fact.pieces !== undefined && signed && size !== 8;
      write(
        instruction.dst,
        extend
          ? builder.emit(block, {
              kind: "unary",
              op: signOp(8 * size),
              value,
            })
          : value,
      );
      return;
    }
    case "store":
    case "store-release": {
      const value =
        instruction.kind === "store"
          ? readOperand(instruction.src, scope)
          : readRegister(instruction.src, scope);
      if (fact.pieces !== undefined) {
        writePieces(fact.pieces, value, scope);
        return;
      }
      builder.effect(block, {
        kind: "store",
        ...address(instruction, scope, fact.access),
        size: instruction.size,
        value,
        ...(instruction.kind === "store-release" ? { release: true } : {}),
      });
      return;
    }
    case "atomic": {
      const { op, size, fetch, src } = instruction;
      const old = builder.emit(block, {
        kind: "atomic",
        op,
        size,
        fetch,
        ...address(instruction, scope, fact.access),
        value: readRegister(src, scope),
        ...(op === "cmpxchg" ? { expected: readRegister(0, scope) } : {}),
      });
      if (fetch) write(op === "cmpxchg" ? 0 : src, old);
      return;
    }
    case "call": {
      const count = scope.arityOf(instruction.callee);
      const args = argumentRegisters
        .slice(0, count)
        .map((register) => readRegister(register, scope));
      const { callee } = instruction;
      clobber(scope, builder.emit(block, { kind: "call", callee, args }));
      return;
    }
    case "load-packet": {
      const { size, index, imm } = instruction;
      const result = builder.emit(block, {
        kind: "load-packet",
        size,
        imm,
        context: readRegister(6, scope),
        ...(index === undefined ? {} : { index: readRegister(index, scope) }),
      });
      clobber(scope, result);
      return;
    }
    // Ends of blocks: see lift-function.ts.
    case "jump":
    case "branch":
    case "may-goto":
    case "exit":
    case "call-register":
      return;
  }
}

const argumentRegisters = [1, 2, 3, 4, 5] as const;

function clobber(scope: Scope, result: ValueId): void {
  scope.variables[0] = result;
  for (const register of argumentRegisters) scope.variables[register] = -1;
}

function readRegister(register: Register, scope: Scope): ValueId {
  return register === 10
    ? frameAddress(0, scope)
    : readVariable(register, scope);
}

function readVariable(variable: number, scope: Scope): ValueId {
  const value = scope.variables[variable] ?? -1;
  if (value >= 0) return id<"v">(value);
  const made = scope.builder.emit(scope.block, { kind: "undefined" });
  scope.variables[variable] = made;
  return made;
}

export function readOperand(operand: Operand, scope: Scope): ValueId {
  return operand.kind === "register"
    ? readRegister(operand.register, scope)
    : scope.builder.constant(scope.block, operand.value);
}

/** The address r10 + offset, as an address in a slot. */
function frameAddress(offset: number, scope: Scope): ValueId {
  const slot = scope.builder.slotFor(offset);
  return offset === slot.offset
    ? scope.builder.slotAddress(slot.id)
    : scope.builder.emit(scope.block, {
        kind: "slot",
        slot: slot.id,
        offset: offset - slot.offset,
      });
}

/** Of a memory access: its slot's address where the slot is known. */
function address(
  instruction: { readonly base: Register; readonly offset: number },
  scope: Scope,
  access: number | undefined,
): { readonly address: ValueId; readonly offset: number } {
  if (access !== undefined) {
    const slot = scope.builder.slotFor(access);
    return {
      address: scope.builder.slotAddress(slot.id),
      offset: access - slot.offset,
    };
  }
  return {
    address: readRegister(instruction.base, scope),
    offset: instruction.offset,
  };
}

function readPieces(pieces: readonly number[], scope: Scope): ValueId {
  const parts = pieces.map((piece) => ({
    value: readVariable(10 + piece, scope),
    size: scope.layout.pieces[piece]?.size ?? 0,
  }));
  const [only] = parts;
  if (only !== undefined && parts.length === 1) return only.value;
  return scope.builder.emit(scope.block, { kind: "concat", parts });
}

/** Pieces hold zero-extended bytes; a whole word is the value itself. */
function writePieces(
  pieces: readonly number[],
  value: ValueId,
  scope: Scope,
): void {
  let start = 0;
  for (const piece of pieces) {
    const size = scope.layout.pieces[piece]?.size ?? 0;
    scope.variables[10 + piece] =
      size === 8
        ? value
        : scope.builder.emit(scope.block, {
            kind: "extract",
            value,
            start,
            size,
          });
    start += size;
  }
}

function liftWide(value: WideValue, scope: Scope): ValueId {
  const { builder, block } = scope;
  switch (value.kind) {
    case "number":
      return builder.constant(block, value.value);
    case "map":
      return builder.emit(block, { kind: "map", map: value.map });
    case "map-value": {
      const { map, offset } = value;
      return builder.emit(block, { kind: "map-value", map, offset });
    }
    case "function":
      return builder.emit(block, { kind: "function", name: value.name });
    case "kernel-symbol":
      return builder.emit(block, { kind: "kernel-symbol", name: value.name });
    case "raw": {
      const { function: name, instruction } = builder.at;
      throw new InputError(
        `${name}+${instruction}: a 64-bit load that no relocation links (source register ${value.pseudo})`,
        {
          code: "load-unlinked",
          file: scope.file,
          fix: "give the object file that clang wrote, with its relocations",
        },
      );
    }
  }
}

function liftAlu(
  instruction: Instruction & { readonly kind: "alu" },
  scope: Scope,
): ValueId {
  const { builder, block } = scope;
  const { op, width, dst, src } = instruction;
  const unary = (op: UnaryOp, value: ValueId): ValueId =>
    builder.emit(block, { kind: "unary", op, value });
  const zext = (value: ValueId): ValueId =>
    width === 32 ? unary("zext32", value) : value;
  if (op === "mov")
    return src.kind === "immediate" && width === 32
      ? builder.constant(block, src.value >>> 0)
      : zext(readOperand(src, scope));
  if (op === "movsx8" || op === "movsx16" || op === "movsx32")
    return zext(unary(signOp(Number(op.slice(5))), readOperand(src, scope)));
  const left = readRegister(dst, scope);
  const right = readOperand(src, scope);
  return builder.emit(block, { kind: "binary", op, width, left, right });
}

function signOp(bits: number): UnaryOp {
  return bits === 8 ? "sext8" : bits === 16 ? "sext16" : "sext32";
}

/** The machine is little-endian, as are all that the project measures on. */
function endianOp(op: EndianOp): UnaryOp | undefined {
  switch (op) {
    case "le16":
      return "zext16";
    case "le32":
      return "zext32";
    case "le64":
      return undefined;
    case "be16":
    case "bswap16":
      return "swap16";
    case "be32":
    case "bswap32":
      return "swap32";
    case "be64":
    case "bswap64":
      return "swap64";
  }
}
