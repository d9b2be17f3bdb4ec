/**
 * Atomic instructions. In private memory, and on what belongs to one core anyway
 * (stack, packet), they are a load and a store. In shared memory they are WebAssembly's
 * own, which are sequentially consistent, and an address that is no multiple of the
 * size is a fault: the processor would not do it in one step, nor does a kernel take it.
 *
 * Source: RFC 9669 section 5.3; the order of load-acquire and store-release, of which
 * this is the stronger, from Documentation/bpf/standardization.
 */
import type { AtomicOp, Instruction, Register, Size } from "../../isa/index.ts";
import { local, type AccessWriter, type Address } from "./access.ts";
import { loadOp, storeOp } from "./alu.ts";
import { atomic, op, type Code } from "./encoder.ts";
import { factOf, type Knowledge } from "./facts.ts";
import { faultNumber, type ProgramContext } from "./program-context.ts";

type Atomic = Instruction & { readonly kind: "atomic" };

interface Pair {
  readonly wide: number;
  readonly narrow: number;
}

// prettier-ignore
const shared: Readonly<Record<AtomicOp, Pair>> = {
  add: { wide: atomic.i64Add, narrow: atomic.i64Add32 },
  or: { wide: atomic.i64Or, narrow: atomic.i64Or32 },
  and: { wide: atomic.i64And, narrow: atomic.i64And32 },
  xor: { wide: atomic.i64Xor, narrow: atomic.i64Xor32 },
  xchg: { wide: atomic.i64Xchg, narrow: atomic.i64Xchg32 },
  cmpxchg: { wide: atomic.i64Cmpxchg, narrow: atomic.i64Cmpxchg32 },
};

// By log2 of the size.
const sharedLoads = [
  atomic.i64Load8,
  atomic.i64Load16,
  atomic.i64Load32,
  atomic.i64Load,
] as const;
const sharedStores = [
  atomic.i64Store8,
  atomic.i64Store16,
  atomic.i64Store32,
  atomic.i64Store,
] as const;

const plain = {
  add: op.i64Add,
  or: op.i64Or,
  and: op.i64And,
  xor: op.i64Xor,
} as const;

interface AtomicPlace {
  readonly base: Register;
  readonly offset: number;
  readonly size: Size;
  readonly site: number;
}

export class AtomicWriter {
  readonly #about: ProgramContext;
  readonly #code: Code;
  readonly #access: AccessWriter;

  constructor(about: ProgramContext, code: Code, access: AccessWriter) {
    this.#about = about;
    this.#code = code;
    this.#access = access;
  }

  /** Leaves the old value on the stack if the instruction wants it. */
  update(instruction: Atomic, know: Knowledge, site: number): void {
    const { base, offset, size } = instruction;
    const place = { base, offset, size, site };
    const address = this.#access.reach(know, {
      ...place,
      write: true,
      reads: true,
    });
    if (this.#isShared(know, place)) this.#shared(instruction, address);
    else this.#plain(instruction, address);
  }

  /** Leaves the value on the stack. */
  load(know: Knowledge, place: AtomicPlace): void {
    const code = this.#code;
    const { push, offset } = this.#access.reach(know, {
      ...place,
      write: false,
    });
    const isShared = this.#isShared(know, place);
    push();
    const align = Math.log2(place.size);
    if (isShared) code.atomic(sharedLoads[align] ?? 0, align, offset);
    else code.memory(loadOp(place.size, false), offset);
  }

  store(know: Knowledge, place: AtomicPlace, src: Register): void {
    const code = this.#code;
    const { push, offset } = this.#access.reach(know, {
      ...place,
      write: true,
    });
    const isShared = this.#isShared(know, place);
    push();
    this.#access.pushRegister(src);
    const align = Math.log2(place.size);
    if (isShared) code.atomic(sharedStores[align] ?? 0, align, offset);
    else code.memory(storeOp(place.size), offset);
  }

  /** Whether others may touch the place; if so, after a check that it is aligned. */
  #isShared(know: Knowledge, place: AtomicPlace): boolean {
    if (!this.#about.shared) return false;
    const fact = factOf(know, place.base);
    if (fact.kind === "stack" || fact.kind === "packet") return false;
    // Values and their cells lie at multiples of eight.
    const at =
      fact.kind === "value" && fact.offset !== undefined
        ? fact.offset + place.offset
        : undefined;
    if (at === undefined || at % place.size !== 0) {
      const code = this.#code;
      this.#access.pushRegister(place.base);
      code.byte(op.i32WrapI64).i32Const(place.offset).byte(op.i32Add);
      code
        .i32Const(place.size - 1)
        .byte(op.i32And)
        .if();
      this.#access.fault(place.site, faultNumber.misaligned);
      code.end();
    }
    return true;
  }

  #shared(instruction: Atomic, { push, offset }: Address): void {
    const code = this.#code;
    const { size, src, fetch } = instruction;
    const pair = shared[instruction.op];
    push();
    if (instruction.op === "cmpxchg") {
      this.#access.pushRegister(0);
      if (size === 4) code.i64Const(0xffff_ffff).byte(op.i64And);
    }
    this.#access.pushRegister(src);
    code.atomic(
      size === 8 ? pair.wide : pair.narrow,
      size === 8 ? 3 : 2,
      offset,
    );
    if (!fetch) code.byte(op.drop);
  }

  #plain(instruction: Atomic, { push, offset }: Address): void {
    const code = this.#code;
    const { size, src, fetch } = instruction;
    const store = storeOp(size);
    push();
    code.memory(loadOp(size, false), offset).set(local.wide);
    if (instruction.op === "cmpxchg") {
      code.get(local.wide);
      this.#access.pushRegister(0);
      if (size === 4) code.i64Const(0xffff_ffff).byte(op.i64And);
      code.byte(op.i64Eq).if();
      push();
      this.#access.pushRegister(src);
      code.memory(store, offset).end();
    } else {
      push();
      if (instruction.op !== "xchg") code.get(local.wide);
      this.#access.pushRegister(src);
      if (instruction.op !== "xchg") code.byte(plain[instruction.op]);
      code.memory(store, offset);
    }
    if (fetch) code.get(local.wide);
  }
}
