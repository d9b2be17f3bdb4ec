/**
 * One BPF instruction as a value (RFC 9669 and the kernel's later additions).
 *
 * A function is a list of these. Targets of jumps are *indices into that list*,
 * not byte or slot distances, so that inserting and deleting moves nothing by
 * accident; `encode` computes distances. A 16-byte load (`lddw`) is one entry.
 * What a relocation would patch (maps, functions, kfuncs) is a name here.
 */

export type Register = 0 | 1 | 2 | 3 | 4 | 5 | 6 | 7 | 8 | 9 | 10;
export type Width = 32 | 64;
export type Size = 1 | 2 | 4 | 8;

export type Operand =
  | { readonly kind: "register"; readonly register: Register }
  /** Signed 32 bits, sign-extended to the operation's width. */
  | { readonly kind: "immediate"; readonly value: number };

/** `movsx8 … movsx32`: move with sign extension (v4); 32 only at width 64. */
export type AluOp =
  | "add"
  | "sub"
  | "mul"
  | "div"
  | "sdiv"
  | "or"
  | "and"
  | "lsh"
  | "rsh"
  | "mod"
  | "smod"
  | "xor"
  | "mov"
  | "movsx8"
  | "movsx16"
  | "movsx32"
  | "arsh";

/** `le`/`be`: to that byte order and zero-extend; `bswap`: unconditional (v4). */
export type EndianOp =
  | "le16"
  | "le32"
  | "le64"
  | "be16"
  | "be32"
  | "be64"
  | "bswap16"
  | "bswap32"
  | "bswap64";

export type BranchOp =
  | "jeq"
  | "jne"
  | "jgt"
  | "jge"
  | "jlt"
  | "jle"
  | "jsgt"
  | "jsge"
  | "jslt"
  | "jsle"
  | "jset";

/** The same comparison with its operands exchanged. */
// prettier-ignore
export const mirrored = {
  jeq: "jeq", jne: "jne", jset: "jset",
  jgt: "jlt", jge: "jle", jlt: "jgt", jle: "jge",
  jsgt: "jslt", jsge: "jsle", jslt: "jsgt", jsle: "jsge",
} as const satisfies Readonly<Record<BranchOp, BranchOp>>;

export type AtomicOp = "add" | "or" | "and" | "xor" | "xchg" | "cmpxchg";

/** The 64-bit immediate of `lddw`, with what the relocation or pseudo source names. */
export type WideValue =
  /** Unsigned 64 bits. */
  | { readonly kind: "number"; readonly value: bigint }
  /** Address of the map itself. */
  | { readonly kind: "map"; readonly map: string }
  /** Address inside the first value of an array map (global data). */
  | {
      readonly kind: "map-value";
      readonly map: string;
      readonly offset: number;
    }
  /** Address of a subprogram, for callbacks. */
  | { readonly kind: "function"; readonly name: string }
  /** A kernel symbol (`extern … __ksym`), typed or not. */
  | { readonly kind: "kernel-symbol"; readonly name: string }
  /** Unlinked: source register field `pseudo` and the two raw immediates. */
  | {
      readonly kind: "raw";
      readonly pseudo: number;
      readonly low: number;
      readonly high: number;
    };

export type Callee =
  | { readonly kind: "helper"; readonly helper: number }
  | { readonly kind: "function"; readonly name: string }
  | { readonly kind: "kfunc"; readonly name: string }
  /**
   * Unlinked: a relative call (pseudo 1) or kfunc id (pseudo 2) that no
   * relocation named; `offset` is a kfunc's module slot, present when not 0.
   */
  | {
      readonly kind: "raw";
      readonly pseudo: number;
      readonly value: number;
      readonly offset?: number;
    };

export type Instruction =
  | {
      readonly kind: "alu";
      readonly op: AluOp;
      readonly width: Width;
      readonly dst: Register;
      readonly src: Operand;
    }
  | { readonly kind: "neg"; readonly width: Width; readonly dst: Register }
  | { readonly kind: "endian"; readonly op: EndianOp; readonly dst: Register }
  /** Arena pointer cast: mov64 with offset 1 (6.9); `spaces` is the immediate: destination space << 16 | source space. */
  | {
      readonly kind: "address-cast";
      readonly dst: Register;
      readonly src: Register;
      readonly spaces: number;
    }
  | {
      readonly kind: "load-wide";
      readonly dst: Register;
      readonly value: WideValue;
    }
  | {
      readonly kind: "load";
      readonly size: Size;
      readonly signed: boolean;
      readonly dst: Register;
      readonly base: Register;
      readonly offset: number;
    }
  | {
      readonly kind: "store";
      readonly size: Size;
      readonly base: Register;
      readonly offset: number;
      readonly src: Operand;
    }
  /** `fetch`: the old value goes to `src` (cmpxchg: to r0, which is also the expected value). */
  | {
      readonly kind: "atomic";
      readonly op: AtomicOp;
      readonly size: 4 | 8;
      readonly fetch: boolean;
      readonly base: Register;
      readonly offset: number;
      readonly src: Register;
    }
  | {
      readonly kind: "load-acquire";
      readonly size: Size;
      readonly dst: Register;
      readonly base: Register;
      readonly offset: number;
    }
  | {
      readonly kind: "store-release";
      readonly size: Size;
      readonly base: Register;
      readonly offset: number;
      readonly src: Register;
    }
  /** `long`: the 32-bit form (v4, JMP32 class). */
  | { readonly kind: "jump"; readonly target: number; readonly long: boolean }
  | {
      readonly kind: "branch";
      readonly op: BranchOp;
      readonly width: Width;
      readonly left: Register;
      readonly right: Operand;
      readonly target: number;
    }
  /** Jumps to `target` once the program has used up its time (6.9). */
  | { readonly kind: "may-goto"; readonly target: number }
  | { readonly kind: "call"; readonly callee: Callee }
  /**
   * `callx`: compilers emit it for indirect calls; no kernel accepts it.
   * `inImmediate`: clang up to 18 puts the register's number into `imm`.
   */
  | {
      readonly kind: "call-register";
      readonly register: Register;
      readonly inImmediate?: true;
    }
  | { readonly kind: "exit" }
  /** Legacy packet access LD_ABS (index undefined) and LD_IND. */
  | {
      readonly kind: "load-packet";
      readonly size: 1 | 2 | 4;
      readonly index?: Register;
      readonly imm: number;
    };

export type InstructionKind = Instruction["kind"];
