/**
 * Low code: the instruction set over virtual registers, between selection and
 * register allocation.
 *
 * A virtual register is a number; it holds one 64-bit word. An operation that the
 * machine does in place (`dst op= right`) has its left operand apart here; the
 * emitter moves it into `dst` first where allocation put them in two registers.
 *
 * A `Fresh` word costs nothing to have again (constants, addresses of maps and of
 * the frame): it is made where it is needed and never kept.
 *
 * Parameters of a block get their arguments from jumps only; an edge of a branch
 * leads to a block without parameters that has no other way in.
 */
import type { Place } from "../../../base/index.ts";
import type {
  AluOp,
  AtomicOp,
  BranchOp,
  Callee,
  EndianOp,
  Register,
  Size,
  WideValue,
  Width,
} from "../../../isa/index.ts";

export type Virtual = number;

export type Fresh =
  /** A 64-bit word, unsigned. */
  | { readonly kind: "constant"; readonly value: bigint }
  | { readonly kind: "wide"; readonly value: WideValue }
  /** r10 plus the offset. */
  | { readonly kind: "frame"; readonly offset: number };

export interface Kept {
  readonly kind: "virtual";
  readonly virtual: Virtual;
}

export type Source = Kept | Fresh;

export type LowOperand =
  | Kept
  /** Signed 32 bits. */
  | { readonly kind: "immediate"; readonly value: number };

export type Base = Kept | { readonly kind: "frame-pointer" };

interface Address {
  readonly base: Base;
  readonly offset: number;
}

export type LowInstruction = { readonly at: Place } & (
  | { readonly kind: "make"; readonly dst: Virtual; readonly value: Fresh }
  | {
      readonly kind: "move";
      readonly dst: Virtual;
      readonly left: Virtual;
      /** 32 zero-extends the low half. */
      readonly width: Width;
    }
  | {
      readonly kind: "alu";
      readonly op: Exclude<AluOp, "mov">;
      readonly width: Width;
      readonly dst: Virtual;
      readonly left: Virtual;
      readonly right: LowOperand;
    }
  | {
      readonly kind: "neg";
      readonly width: Width;
      readonly dst: Virtual;
      readonly left: Virtual;
    }
  | {
      readonly kind: "endian";
      readonly op: EndianOp;
      readonly dst: Virtual;
      readonly left: Virtual;
    }
  /** v4: `movsx`, from a register. */
  | {
      readonly kind: "extend";
      readonly bits: 8 | 16 | 32;
      readonly dst: Virtual;
      readonly src: Virtual;
    }
  | {
      readonly kind: "address-cast";
      readonly dst: Virtual;
      readonly src: Virtual;
      readonly spaces: number;
    }
  | (Address & {
      readonly kind: "load";
      readonly dst: Virtual;
      readonly size: Size;
      readonly signed: boolean;
      readonly acquire: boolean;
    })
  | (Address & {
      readonly kind: "store";
      readonly size: Size;
      readonly src: LowOperand;
      readonly release: boolean;
    })
  | (Address & {
      readonly kind: "atomic";
      readonly op: AtomicOp;
      readonly size: 4 | 8;
      readonly value: Virtual;
      readonly expected?: Source;
      /** The old value: the operation fetches. */
      readonly dst?: Virtual;
    })
  | {
      readonly kind: "call";
      readonly callee: Callee;
      /** Undefined: the register is left as it is. */
      readonly args: readonly (Source | undefined)[];
      readonly dst?: Virtual;
    }
  /** The context stands in r6 (see `LowFunction.pinned`). */
  | {
      readonly kind: "load-packet";
      readonly size: 1 | 2 | 4;
      readonly index?: Virtual;
      readonly imm: number;
      readonly dst?: Virtual;
    }
);

export type LowTerminator = { readonly at: Place } & (
  | {
      readonly kind: "jump";
      readonly to: number;
      readonly args: readonly Source[];
    }
  | {
      readonly kind: "branch";
      readonly op: BranchOp;
      readonly width: Width;
      readonly left: Virtual;
      readonly right: LowOperand;
      readonly then: number;
      readonly otherwise: number;
    }
  | {
      readonly kind: "may-goto";
      readonly then: number;
      readonly otherwise: number;
    }
  | { readonly kind: "return"; readonly value: Source }
  | { readonly kind: "trap" }
);

export interface LowBlock {
  readonly params: readonly Virtual[];
  readonly instructions: readonly LowInstruction[];
  readonly terminator: LowTerminator;
  /** How many loops it is in. */
  readonly depth: number;
}

export interface LowFunction {
  readonly name: string;
  /** What r1 … hold at the start. */
  readonly params: readonly Virtual[];
  /** In the order in which they will stand; the first is the entry. */
  readonly blocks: readonly LowBlock[];
  /** How many virtual registers there are. */
  readonly virtuals: number;
  /** Virtual registers that have one register all the time, which no other has. */
  readonly pinned: ReadonlyMap<Virtual, Register>;
  /** Bytes of the frame that are memory already: offsets from r10. */
  readonly taken: readonly { readonly low: number; readonly high: number }[];
}

export function successorsOf(terminator: LowTerminator): readonly number[] {
  switch (terminator.kind) {
    case "jump":
      return [terminator.to];
    case "branch":
    case "may-goto":
      return [terminator.then, terminator.otherwise];
    case "return":
    case "trap":
      return [];
  }
}

/** How an instruction treats the virtual registers and the machine's. */
export interface Visitor {
  /**
   * `isFree`: any place will do, the stack too. `isLate`: it must still be there
   * when the result is written.
   */
  readonly use: (
    virtual: Virtual,
    how: {
      readonly isFree?: true;
      readonly isLate?: true;
      readonly register?: Register;
    },
  ) => void;
  /** `register`: where the machine leaves it, after what it clobbers. */
  readonly define: (
    virtual: Virtual,
    how: { readonly register?: Register; readonly left?: Virtual },
  ) => void;
  readonly clobber: (registers: readonly Register[]) => void;
}

const callClobbers: readonly Register[] = [0, 1, 2, 3, 4, 5];
export const argumentRegisters = [1, 2, 3, 4, 5] as const;

/** Definitions last. */
export function visit(instruction: LowInstruction, visitor: Visitor): void {
  const { use, define, clobber } = visitor;
  const base = (where: Base, how: { readonly isLate?: true } = {}): void => {
    if (where.kind === "virtual") use(where.virtual, how);
  };
  const free = (source: Source | undefined, register?: Register): void => {
    if (source?.kind !== "virtual") return;
    const wish = register === undefined ? {} : { register };
    use(source.virtual, { isFree: true, ...wish });
  };
  switch (instruction.kind) {
    case "make":
      define(instruction.dst, {});
      return;
    case "move":
    case "neg":
    case "endian": {
      const { dst, left } = instruction;
      use(left, { isFree: true });
      define(dst, { left });
      return;
    }
    case "alu": {
      const { dst, left, right } = instruction;
      const isSame = right.kind === "virtual" && right.virtual === left;
      if (right.kind === "virtual" && !isSame)
        use(right.virtual, { isLate: true });
      use(left, isSame ? {} : { isFree: true });
      define(dst, { left });
      return;
    }
    case "extend":
    case "address-cast":
      use(instruction.src, {});
      define(instruction.dst, { left: instruction.src });
      return;
    case "load":
      base(instruction.base);
      define(instruction.dst, {});
      return;
    case "store":
      base(instruction.base);
      if (instruction.src.kind === "virtual") use(instruction.src.virtual, {});
      return;
    case "atomic": {
      const { dst, value, expected } = instruction;
      if (dst === undefined) {
        base(instruction.base);
        use(value, {});
      } else if (expected === undefined) {
        base(instruction.base, { isLate: true });
        use(value, { isFree: true });
        define(dst, { left: value });
      } else {
        base(instruction.base, { isLate: true });
        use(value, { isLate: true });
        free(expected, 0);
        clobber([0]);
        define(dst, { register: 0 });
      }
      return;
    }
    case "call":
      for (const [index, argument] of instruction.args.entries())
        free(argument, argumentRegisters[index] ?? 5);
      clobber(callClobbers);
      if (instruction.dst !== undefined)
        define(instruction.dst, { register: 0 });
      return;
    case "load-packet":
      if (instruction.index !== undefined) use(instruction.index, {});
      clobber(callClobbers);
      if (instruction.dst !== undefined)
        define(instruction.dst, { register: 0 });
      return;
  }
}

/** What the end of a block reads; arguments of a jump are free. */
export function visitEnd(terminator: LowTerminator, use: Visitor["use"]): void {
  switch (terminator.kind) {
    case "branch":
      use(terminator.left, {});
      if (terminator.right.kind === "virtual")
        use(terminator.right.virtual, {});
      return;
    case "return":
      if (terminator.value.kind === "virtual")
        use(terminator.value.virtual, { isFree: true, register: 0 });
      return;
    case "jump":
      for (const argument of terminator.args)
        if (argument.kind === "virtual")
          use(argument.virtual, { isFree: true });
      return;
    case "may-goto":
    case "trap":
      return;
  }
}
