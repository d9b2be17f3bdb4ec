/**
 * Arithmetic, byte order and comparisons: BPF's semantics in WebAssembly's terms.
 *
 * The same: wrapping, masked shift counts. Different, and spelled out here: division
 * by zero gives 0 and modulo by zero the dividend; the most negative number divided
 * by −1 is itself, with remainder 0; 32-bit results are zero-extended.
 *
 * Source: RFC 9669 sections 4.1 to 4.3.
 */
import { Bug } from "../../base/index.ts";
import type {
  AluOp,
  BranchOp,
  EndianOp,
  Instruction,
  Operand,
  Width,
} from "../../isa/index.ts";
import { local } from "./access.ts";
import { i32, i64, op, type Code } from "./encoder.ts";

type Alu = Instruction & { readonly kind: "alu" };
type Branch = Instruction & { readonly kind: "branch" };
/** Pushes a register as i64. */
type PushRegister = (register: Alu["dst"]) => void;

interface Pair {
  readonly wide: number;
  readonly narrow: number;
}

// prettier-ignore
const plain: Partial<Readonly<Record<AluOp, Pair>>> = {
  add: { wide: op.i64Add, narrow: op.i32Add },
  sub: { wide: op.i64Sub, narrow: op.i32Sub },
  mul: { wide: op.i64Mul, narrow: op.i32Mul },
  or: { wide: op.i64Or, narrow: op.i32Or },
  and: { wide: op.i64And, narrow: op.i32And },
  xor: { wide: op.i64Xor, narrow: op.i32Xor },
  lsh: { wide: op.i64Shl, narrow: op.i32Shl },
  rsh: { wide: op.i64ShrU, narrow: op.i32ShrU },
  arsh: { wide: op.i64ShrS, narrow: op.i32ShrS },
};

// prettier-ignore
const extend: Partial<Readonly<Record<AluOp, Pair>>> = {
  movsx8: { wide: op.i64Extend8S, narrow: op.i32Extend8S },
  movsx16: { wide: op.i64Extend16S, narrow: op.i32Extend16S },
  // movsx32 exists at 64 bits only.
  movsx32: { wide: op.i64Extend32S, narrow: op.nop },
};

// prettier-ignore
const compare: Readonly<Record<BranchOp, Pair>> = {
  jeq: { wide: op.i64Eq, narrow: op.i32Eq },
  jne: { wide: op.i64Ne, narrow: op.i32Ne },
  jgt: { wide: op.i64GtU, narrow: op.i32GtU },
  jge: { wide: op.i64GeU, narrow: op.i32GeU },
  jlt: { wide: op.i64LtU, narrow: op.i32LtU },
  jle: { wide: op.i64LeU, narrow: op.i32LeU },
  jsgt: { wide: op.i64GtS, narrow: op.i32GtS },
  jsge: { wide: op.i64GeS, narrow: op.i32GeS },
  jslt: { wide: op.i64LtS, narrow: op.i32LtS },
  jsle: { wide: op.i64LeS, narrow: op.i32LeS },
  jset: { wide: op.i64And, narrow: op.i32And },
};

/** Leaves the i64 result on the stack. */
export function writeAlu(code: Code, alu: Alu, push: PushRegister): void {
  const { width } = alu;
  const left = (): void =>
    pushAs(code, push, { kind: "register", register: alu.dst }, width);
  const right = (): void => pushAs(code, push, alu.src, width);
  const simple = plain[alu.op];
  if (simple !== undefined) {
    left();
    right();
    code.byte(width === 64 ? simple.wide : simple.narrow);
  } else if (alu.op === "mov" || alu.op in extend) {
    right();
    const pair = extend[alu.op];
    if (pair !== undefined) code.byte(width === 64 ? pair.wide : pair.narrow);
  } else writeDivision(code, alu, left, right);
  if (width === 32) code.byte(op.i64ExtendI32U);
}

function writeDivision(
  code: Code,
  { op: name, width }: Alu,
  left: () => void,
  right: () => void,
): void {
  const wide = width === 64;
  const type = wide ? i64 : i32;
  const isZero = wide ? op.i64Eqz : op.i32Eqz;
  const constant = (value: number): unknown =>
    wide ? code.i64Const(value) : code.i32Const(value);
  const choose = (then: () => void, otherwise: () => void): void => {
    code.byte(op.if).byte(type);
    then();
    code.byte(op.else);
    otherwise();
    code.end();
  };
  const divide = (wideOp: number, narrowOp: number) => () => {
    left();
    right();
    code.byte(wide ? wideOp : narrowOp);
  };
  right();
  code.byte(isZero);
  if (name === "div")
    return choose(() => constant(0), divide(op.i64DivU, op.i32DivU));
  if (name === "mod") return choose(left, divide(op.i64RemU, op.i32RemU));
  // rem_s of the most negative number by −1 is 0 and does not trap.
  if (name === "smod") return choose(left, divide(op.i64RemS, op.i32RemS));
  if (name !== "sdiv") throw new Bug(`alu operation ${name}`);
  const negated = (): void => {
    constant(0);
    left();
    code.byte(wide ? op.i64Sub : op.i32Sub);
  };
  const unlessMinusOne = (): void => {
    right();
    constant(-1);
    code.byte(wide ? op.i64Eq : op.i32Eq);
    choose(negated, divide(op.i64DivS, op.i32DivS));
  };
  return choose(() => constant(0), unlessMinusOne);
}

function pushAs(
  code: Code,
  push: PushRegister,
  operand: Operand,
  width: Width,
): void {
  if (operand.kind === "immediate") {
    if (width === 64) code.i64Const(operand.value);
    else code.i32Const(operand.value);
    return;
  }
  push(operand.register);
  if (width === 32) code.byte(op.i32WrapI64);
}

/** Leaves an i32 on the stack: not zero when the branch is taken. */
export function writeBranch(
  code: Code,
  branch: Branch,
  push: PushRegister,
): void {
  const { width } = branch;
  pushAs(code, push, { kind: "register", register: branch.left }, width);
  pushAs(code, push, branch.right, width);
  const pair = compare[branch.op];
  code.byte(width === 64 ? pair.wide : pair.narrow);
  if (branch.op === "jset" && width === 64) code.i64Const(0).byte(op.i64Ne);
}

/** From the i64 on the stack to its bytes in the other order, or cut to a width. */
export function writeEndian(code: Code, name: EndianOp): void {
  switch (name) {
    case "le16":
      code.i64Const(0xffff).byte(op.i64And);
      return;
    case "le32":
      code.i64Const(0xffff_ffff).byte(op.i64And);
      return;
    case "le64":
      return;
    case "be16":
    case "bswap16":
      return swap16(code);
    case "be32":
    case "bswap32":
      code.byte(op.i32WrapI64);
      swap32(code);
      code.byte(op.i64ExtendI32U);
      return;
    case "be64":
    case "bswap64":
      return swap64(code);
  }
}

/** (x >> 8 & 0xff) | (x & 0xff) << 8 */
function swap16(code: Code): void {
  code.byte(op.i32WrapI64).tee(local.narrow);
  code.i32Const(8).byte(op.i32ShrU).i32Const(0xff).byte(op.i32And);
  code.get(local.narrow).i32Const(0xff).byte(op.i32And);
  code.i32Const(8).ops(op.i32Shl, op.i32Or, op.i64ExtendI32U);
}

/** rotl(x, 8) & 0x00ff00ff | rotr(x, 8) & 0xff00ff00 */
function swap32(code: Code): void {
  code.tee(local.narrow).i32Const(8).byte(op.i32Rotl);
  code.i32Const(0x00ff00ff).byte(op.i32And);
  code.get(local.narrow).i32Const(8).byte(op.i32Rotr);
  code.i32Const(0xff00ff00).ops(op.i32And, op.i32Or);
}

/** swap32(low) << 32 | swap32(high) */
function swap64(code: Code): void {
  code.tee(local.wide).byte(op.i32WrapI64);
  swap32(code);
  code.byte(op.i64ExtendI32U).i64Const(32).byte(op.i64Shl);
  code.get(local.wide).i64Const(32).ops(op.i64ShrU, op.i32WrapI64);
  swap32(code);
  code.ops(op.i64ExtendI32U, op.i64Or);
}

export function loadOp(size: number, signed: boolean): number {
  switch (size) {
    case 1:
      return signed ? op.i64Load8S : op.i64Load8U;
    case 2:
      return signed ? op.i64Load16S : op.i64Load16U;
    case 4:
      return signed ? op.i64Load32S : op.i64Load32U;
    default:
      return op.i64Load;
  }
}

export function storeOp(size: number): number {
  switch (size) {
    case 1:
      return op.i64Store8;
    case 2:
      return op.i64Store16;
    case 4:
      return op.i64Store32;
    default:
      return op.i64Store;
  }
}
