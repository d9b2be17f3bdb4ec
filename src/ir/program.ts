/**
 * The intermediate representation: SSA over 64-bit words, blocks with parameters.
 *
 * - Every value is a 64-bit word; `values[v]` says what is known of it: a scalar,
 *   or a pointer with its region. A 32-bit operation zero-extends its result.
 * - Registers and those stack bytes whose address does not escape are values.
 *   The rest of the stack is `slots`: byte-addressed memory of the frame.
 * - Blocks take parameters instead of phi nodes; an edge carries arguments.
 * - Loops stay loops. Calls (helpers, functions, kfuncs, callbacks) are instructions.
 *
 * Text form: see print.ts; parse inverts print.
 */
import type { Id, Place } from "../base/index.ts";
import type {
  AtomicOp,
  BranchOp,
  Callee,
  MapSpec,
  ProgramTypeName,
  Size,
  Width,
} from "../isa/index.ts";

/** Prints as `v12`. */
export type ValueId = Id<"v">;
/** Prints as `b3`. The entry block is `b0`. */
export type BlockId = Id<"b">;
/** Prints as `s1`. */
export type SlotId = Id<"s">;

/** What a pointer points into. */
export type Region =
  | { readonly kind: "context" }
  | { readonly kind: "packet" }
  | { readonly kind: "packet-end" }
  | { readonly kind: "packet-meta" }
  | { readonly kind: "slot"; readonly slot: SlotId }
  /** The frame of a caller, in a subprogram that was handed its address. */
  | { readonly kind: "frame" }
  /** A value (cell) of the map; the cell that key selected. */
  | { readonly kind: "map-value"; readonly map: string }
  /** The map object itself. */
  | { readonly kind: "map"; readonly map: string }
  | { readonly kind: "function"; readonly name: string }
  /** Kernel memory: ring buffer records, sockets, BTF objects. */
  | { readonly kind: "kernel"; readonly what: string }
  /** Several regions meet, or none is known. */
  | { readonly kind: "unknown" };

export type ValueType =
  | { readonly kind: "scalar" }
  | {
      readonly kind: "pointer";
      readonly region: Region;
      /** Constant distance from the region's start in bytes, when known. */
      readonly offset?: number;
      /** May be null (a lookup's result before its test). */
      readonly nullable?: true;
    };

export type BinaryOp =
  | "add"
  | "sub"
  | "mul"
  | "div"
  | "sdiv"
  | "mod"
  | "smod"
  | "or"
  | "and"
  | "xor"
  | "lsh"
  | "rsh"
  | "arsh";

/** zextN/sextN take the low N bits; swapN reverses the low N/8 bytes and zero-extends. */
export type UnaryOp =
  | "neg32"
  | "neg64"
  | "zext8"
  | "zext16"
  | "zext32"
  | "sext8"
  | "sext16"
  | "sext32"
  | "swap16"
  | "swap32"
  | "swap64";

interface Origin {
  /** Where in the bytecode this came from. */
  readonly at: Place;
}
interface Result {
  readonly result: ValueId;
}

/** Address operands are a value plus a constant byte offset. */
interface Address {
  readonly address: ValueId;
  readonly offset: number;
}

export type IrInstruction = Origin &
  (
    | (Result & { readonly kind: "const"; readonly value: bigint })
    | (Result & { readonly kind: "map"; readonly map: string })
    | (Result & {
        readonly kind: "map-value";
        readonly map: string;
        readonly offset: number;
      })
    | (Result & { readonly kind: "function"; readonly name: string })
    | (Result & { readonly kind: "kernel-symbol"; readonly name: string })
    | (Result & {
        readonly kind: "slot";
        readonly slot: SlotId;
        readonly offset: number;
      })
    | (Result & {
        readonly kind: "binary";
        readonly op: BinaryOp;
        readonly width: Width;
        readonly left: ValueId;
        readonly right: ValueId;
      })
    | (Result & {
        readonly kind: "unary";
        readonly op: UnaryOp;
        readonly value: ValueId;
      })
    /** Bytes `start … start + size` of a word (byte 0 is the lowest), zero-extended. */
    | (Result & {
        readonly kind: "extract";
        readonly value: ValueId;
        readonly start: number;
        readonly size: number;
      })
    /** Little-endian assembly: the first part is lowest; sizes in bytes sum to at most 8. */
    | (Result & {
        readonly kind: "concat";
        readonly parts: readonly {
          readonly value: ValueId;
          readonly size: number;
        }[];
      })
    /** A stack byte or register that nothing wrote; reading it is the program's fault. */
    | (Result & { readonly kind: "undefined" })
    | (Result &
        Address & {
          readonly kind: "load";
          readonly size: Size;
          readonly signed: boolean;
          /** An acquiring load: nothing after it happens before it. */
          readonly acquire?: true;
        })
    | (Address & {
        readonly kind: "store";
        readonly size: Size;
        readonly value: ValueId;
        /** A releasing store: everything before it has happened. */
        readonly release?: true;
      })
    /** `result` is the old value when `fetch`; cmpxchg compares with `expected`. */
    | (Result &
        Address & {
          readonly kind: "atomic";
          readonly op: AtomicOp;
          readonly size: 4 | 8;
          readonly fetch: boolean;
          readonly value: ValueId;
          readonly expected?: ValueId;
        })
    /** r0 is the result; `args` are r1 …, as many as the callee takes (5 when unknown). */
    | (Result & {
        readonly kind: "call";
        readonly callee: Callee;
        readonly args: readonly ValueId[];
      })
    | (Result & {
        readonly kind: "address-cast";
        readonly value: ValueId;
        readonly spaces: number;
      })
    /** LD_ABS and LD_IND; returns 0 from the program when outside the packet. */
    | (Result & {
        readonly kind: "load-packet";
        readonly size: 1 | 2 | 4;
        readonly context: ValueId;
        readonly index?: ValueId;
        readonly imm: number;
      })
  );

export interface Edge {
  readonly block: BlockId;
  readonly args: readonly ValueId[];
}

export type Terminator = Origin &
  (
    | { readonly kind: "jump"; readonly to: Edge }
    | {
        readonly kind: "branch";
        readonly op: BranchOp;
        readonly width: Width;
        readonly left: ValueId;
        readonly right: ValueId;
        readonly then: Edge;
        readonly otherwise: Edge;
      }
    | {
        readonly kind: "may-goto";
        readonly then: Edge;
        readonly otherwise: Edge;
      }
    | { readonly kind: "return"; readonly value: ValueId }
    /** Falls off the end, or calls through a register: no kernel lets it run. */
    | { readonly kind: "trap"; readonly reason: string }
  );

export interface Block {
  readonly id: BlockId;
  readonly params: readonly ValueId[];
  readonly instructions: readonly IrInstruction[];
  readonly terminator: Terminator;
}

/**
 * Frame memory that stays byte-addressed; `offset` from r10, negative. Slots lie
 * in the frame at their offsets, so that distances between them are the
 * bytecode's. A size of 0 is an address that nothing is accessed through. After
 * inlining, frames of callees lie below −512.
 */
export interface Slot {
  readonly id: SlotId;
  readonly offset: number;
  readonly size: number;
}

export interface IrFunction {
  readonly name: string;
  /** Entry function: the context. Subprogram: the r1 … r5 that it reads. */
  readonly params: readonly ValueId[];
  /** Index = block id. */
  readonly blocks: readonly Block[];
  /** Index = value id. */
  readonly values: readonly ValueType[];
  /** Index = slot id. */
  readonly slots: readonly Slot[];
}

export interface IrProgram {
  readonly name: string;
  readonly file: string;
  readonly type: ProgramTypeName;
  /** Entry first. */
  readonly functions: readonly IrFunction[];
  readonly maps: readonly MapSpec[];
}
