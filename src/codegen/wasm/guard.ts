/**
 * What guarded code does besides running the program. A module has each function twice:
 *
 *   f0 …    exclusive: nobody else runs, stores are plain stores
 *   f0~ …   an attempt: others may run; the first mutation of shared state ends it
 *           (lock), or makes it exclusive from there on if nobody wrote since it began,
 *           and else ends it (transaction)
 *
 * An attempt that ends sets `left` and returns; every call is followed by a look at
 * `left`, so it leaves the chain of functions, callbacks too (they answer 1, which ends
 * the loops that call them). Then it never was:
 *
 *   packet bytes     saved before the first store into the packet
 *   other objects    stores into values that are not guarded are in an undo log; a full
 *                    log, and helpers that change maps, guarded or not, end the attempt
 *   place, redirect  set anew by what every run begins with
 *   events, random   the engine forgets them (`restart`)
 *   time             is the packet's, and so the same
 *
 * Which stores are mutations is known where the code is made, or asked by address:
 * maps lie behind all areas of cores.
 */
import { atomic, op, type Code } from "./encoder.ts";
import type { Fact } from "./facts.ts";
import {
  undoEntries,
  undoOf,
  type ChainLayout,
  type FieldLayout,
  type GuardLayout,
} from "./guard-layout.ts";
import type { Layout } from "./layout.ts";

export type Variant = "attempt" | "exclusive";

/** Globals of the module behind those of budget.ts; all i32. */
export const guardGlobal = {
  left: 2,
  saved: 3,
  acquired: 4,
  version: 5,
} as const;

export class Guard {
  readonly layout: GuardLayout;
  readonly variant: Variant;
  readonly #all: Layout;
  readonly #objects: ReadonlySet<number>;

  constructor(all: Layout, layout: GuardLayout, variant: Variant) {
    this.#all = all;
    this.layout = layout;
    this.variant = variant;
    this.#objects = new Set(layout.objects);
  }

  get attempts(): boolean {
    return this.variant === "attempt";
  }

  guards(map: number): boolean {
    return this.#objects.has(map);
  }

  fieldAt(map: number, offset: number): FieldLayout | undefined {
    return this.layout.fields.find(
      (field) => field.map === map && field.offset === offset,
    );
  }

  chainOf(map: number): ChainLayout | undefined {
    return this.layout.chains.find((chain) => chain.map === map);
  }

  /** Name of a function of the module that exists in both variants. */
  own(name: string): string {
    return this.attempts ? `${name}~` : name;
  }

  /** Shared state changes from here on. Nothing may be on the stack. */
  mutation(code: Code): void {
    if (!this.attempts) return;
    const { kind, mutant, version } = this.layout;
    if (kind === "lock") return this.leave(code);
    code.globalGet(guardGlobal.acquired).byte(op.i32Eqz).if();
    if (mutant !== "no-lock") {
      const seen = (): Code => code.globalGet(guardGlobal.version);
      code.i32Const(version);
      seen();
      seen().i32Const(1).byte(op.i32Add).atomic(atomic.i32Cmpxchg, 2, 0);
      seen().byte(op.i32Ne).if();
      this.leave(code);
      code.end();
    }
    code.i32Const(1).globalSet(guardGlobal.acquired);
    code.end();
  }

  leave(code: Code): void {
    code.i32Const(1).globalSet(guardGlobal.left);
    code.i64Const(1).byte(op.return);
  }

  /** Behind a call: whoever was called may have left. */
  called(code: Code): void {
    if (!this.attempts) return;
    code.globalGet(guardGlobal.left).if();
    code.i64Const(1).byte(op.return).end();
  }

  /** The packet may change from here on. */
  packetChanges(code: Code): void {
    if (!this.attempts || this.layout.mutant === "no-undo") return;
    code.globalGet(guardGlobal.saved).byte(op.i32Eqz).if();
    code.callByName("savePacket").end();
  }

  /**
   * Before a store of `size` bytes through a pointer; `push` leaves its 64-bit address.
   */
  stores(code: Code, fact: Fact, size: number, push: () => void): void {
    if (!this.attempts) return;
    switch (fact.kind) {
      case "stack":
      case "context":
        return;
      case "packet":
        return this.packetChanges(code);
      case "value": {
        const known = fact.set === undefined && size <= 8;
        if (!known || this.guards(fact.map)) return this.mutation(code);
        if (this.layout.mutant === "no-undo") return;
        push();
        code.byte(op.i32WrapI64).i32Const(size).callByName("note");
        code.byte(op.i32Eqz).if();
        this.mutation(code);
        code.end();
        return;
      }
      case "any":
      case "number":
      case "packet-end":
      case "map":
      case "inner":
      case "function":
        push();
        code.i64Const(this.#all.mapsFrom).byte(op.i64GeU).if();
        this.mutation(code);
        code.end();
        this.packetChanges(code);
    }
  }
}

/** note(address, size) → 1, or 0 when the log is full. The value must be in memory. */
export function writeNote(code: Code, all: Layout, guard: GuardLayout): void {
  const log = undoOf(guard, all.core);
  const [address, size, at] = [0, 1, 2];
  code.i32Const(0).memory(op.i32Load, log).tee(at);
  code.i32Const(undoEntries).byte(op.i32GeU).if();
  code.i32Const(0).byte(op.return).end();
  // What is no place in the maps faults later.
  code.get(address).i32Const(all.mapsFrom).byte(op.i32LtU);
  code
    .get(address)
    .i32Const(all.mapsEnd - 8)
    .ops(op.i32GtU, op.i32Or)
    .if();
  code.i32Const(1).byte(op.return).end();
  code.i32Const(0).get(at).i32Const(1).byte(op.i32Add);
  code.memory(op.i32Store, log);
  code.get(at).i32Const(4).byte(op.i32Shl).set(at);
  code
    .get(at)
    .get(address)
    .memory(op.i32Store, log + 16);
  code
    .get(at)
    .get(size)
    .memory(op.i32Store, log + 20);
  code.get(at);
  code.get(address).memory(op.i64Load, 0);
  code.memory(op.i64Store, log + 24);
  code.i32Const(1);
}

/** undoNotes(): from the last to the first. */
export function writeUndoNotes(
  code: Code,
  all: Layout,
  guard: GuardLayout,
): void {
  const log = undoOf(guard, all.core);
  const [at, address, size] = [0, 1, 2];
  const old = (): Code => code.get(at).memory(op.i64Load, log + 24 - 16);
  code.i32Const(0).memory(op.i32Load, log);
  code.i32Const(4).byte(op.i32Shl).set(at);
  code.block().loop();
  code.get(at).byte(op.i32Eqz).brIf(1);
  code.get(at).memory(op.i32Load, log).set(address);
  code
    .get(at)
    .memory(op.i32Load, log + 4)
    .set(size);
  for (const [bytes, store] of [
    [1, op.i64Store8],
    [2, op.i64Store16],
    [4, op.i64Store32],
    [8, op.i64Store],
  ] as const) {
    code.get(size).i32Const(bytes).byte(op.i32Eq).if();
    code.get(address);
    old().memory(store, 0).end();
  }
  code.get(at).i32Const(16).byte(op.i32Sub).set(at);
  code.br(0).end().end();
  code.i32Const(0).i32Const(0).memory(op.i32Store, log);
}
