/**
 * Helpers that are written in place: clocks, the CPU, array lookups, bpf_loop, tail
 * calls; and locks, which are functions of the module.
 */
import type { Register } from "../../isa/index.ts";
import { local, type AccessWriter } from "./access.ts";
import { writeBudget } from "./budget.ts";
import { i64, op, type Code } from "./encoder.ts";
import { factOf, type Knowledge } from "./facts.ts";
import type { HelperCall } from "./helper-calls.ts";
import { descriptor } from "./layout.ts";
import type { MapLayout } from "./map-layout.ts";
import type { LockFunction } from "./locks.ts";
import {
  faultNumber,
  recursive,
  type ProgramContext,
} from "./program-context.ts";

/** Instruction in its function, and number over all functions. */
export interface CallPlace {
  readonly index: number;
  readonly site: number;
}

/** BPF_MAX_LOOPS: the most iterations of one bpf_loop. */
const maxLoops = 1 << 23;

export class InlineWriter {
  readonly #about: ProgramContext;
  readonly #code: Code;
  readonly #access: AccessWriter;

  constructor(about: ProgramContext, code: Code, access: AccessWriter) {
    this.#about = about;
    this.#code = code;
    this.#access = access;
  }

  /** Leaves the i64 result on the stack. */
  call(
    helper: HelperCall,
    know: Knowledge,
    place: CallPlace,
    map: MapLayout | undefined,
  ): void {
    const code = this.#code;
    const { cell } = this.#about.layout;
    const current = (load: number, field: number): unknown =>
      code.i32Const(0).memory(op.i32Load, cell.current).memory(load, field);
    switch (helper.name) {
      case "get_smp_processor_id":
        current(op.i64Load32U, descriptor.cpu);
        return;
      case "get_numa_node_id":
        code.i64Const(0);
        return;
      case "jiffies64":
        // HZ is 250.
        current(op.i64Load, descriptor.time);
        code.i64Const(4_000_000).byte(op.i64DivU);
        return;
      case "loop":
        return this.#loop(know, place);
      case "tail_call":
        return this.#tailCall(map, place);
      case "spin_lock":
        return this.#lock("lock", know, place);
      case "spin_unlock":
        return this.#lock("unlock", know, place);
      case "bpf_res_spin_lock":
        return this.#lock("resLock", know, place);
      case "bpf_res_spin_unlock":
        return this.#lock("resUnlock", know, place);
      case "bpf_preempt_disable":
      case "bpf_preempt_enable":
      case "bpf_rcu_read_lock":
      case "bpf_rcu_read_unlock":
        // A run is never interrupted, and values are never freed under it.
        code.i64Const(0);
        return;
      default:
        current(op.i64Load, descriptor.time);
        return;
    }
  }

  #lock(name: LockFunction, know: Knowledge, { site }: CallPlace): void {
    const address = this.#access.reach(know, {
      base: 1,
      offset: 0,
      size: 4,
      write: true,
      reads: true,
      site,
    });
    address.push();
    if (address.offset !== 0)
      this.#code.i32Const(address.offset).byte(op.i32Add);
    this.#code.i32Const(site).callByName(name).byte(op.i64ExtendI32S);
  }

  /** values + key · size of a cell + cpu · stride, or 0 beyond the capacity; of maps, the handle. */
  arrayLookup(map: MapLayout, know: Knowledge, { site }: CallPlace): void {
    const code = this.#code;
    const key = this.#access.reach(know, {
      base: 2,
      offset: 0,
      size: map.spec.keySize,
      write: false,
      site,
    });
    key.push();
    code.memory(op.i32Load, key.offset).tee(local.narrow);
    code.i32Const(map.capacity).byte(op.i32LtU).byte(op.if).byte(i64);
    code.get(local.narrow).i32Const(map.cellStride).byte(op.i32Mul);
    code.i32Const(map.values).byte(op.i32Add);
    if (map.copies > 1) {
      code.i32Const(0);
      code.memory(op.i32Load, this.#about.layout.cell.current);
      code.memory(op.i32Load, descriptor.cpu);
      code.i32Const(map.copyStride).ops(op.i32Mul, op.i32Add);
    }
    if (map.held === "maps") code.memory(op.i32Load, 0);
    code.byte(op.i64ExtendI32U).byte(op.else).i64Const(0).end();
  }

  /** for (i = 0; i < nr; i++) if (callback(i, ctx)) return i + 1; return i. */
  #loop(know: Knowledge, place: CallPlace): void {
    const callback = this.callback(know, 2);
    const code = this.#code;
    const [i, count] = [local.wide, local.wide2];
    this.#access.pushRegister(1);
    code.i64Const(0xffff_ffff).byte(op.i64And).set(count);
    this.#access.pushRegister(4);
    code.byte(op.i64Eqz).byte(op.i32Eqz);
    code.byte(op.if).byte(i64).i64Const(-22).byte(op.else);
    code.get(count).i64Const(maxLoops).byte(op.i64GtU);
    code.byte(op.if).byte(i64).i64Const(-7).byte(op.else);
    code.i64Const(0).set(i);
    code.block().loop();
    code.get(i).get(count).byte(op.i64GeU).brIf(1);
    writeBudget(code, () => this.#access.fault(place.site, faultNumber.budget));
    if (callback === undefined) {
      code.i32Const(0).i32Const(place.site);
      code.memory(op.i32Store, this.#about.layout.cell.site);
      this.#access.pushRegister(2);
    }
    code.get(i);
    this.#access.escape(know, 3);
    this.#access.pushRegister(3);
    code.i64Const(0).i64Const(0).i64Const(0);
    code.callByName(
      this.#about.own(callback === undefined ? "callAny" : `f${callback}`),
    );
    code.get(i).i64Const(1).byte(op.i64Add).set(i);
    this.#about.guard?.called(code);
    code.byte(op.i64Eqz).brIf(0).end().end();
    code.get(i).end().end();
    if (this.#about.callbackMoves(callback))
      this.#access.loadPacketBounds(code);
  }

  /** The target's frame replaces this one, so its result is the caller's. */
  #tailCall(map: MapLayout | undefined, { site }: CallPlace): void {
    const code = this.#code;
    if (map === undefined) return;
    const { cell } = this.#about.layout;
    const left = (): Code =>
      code.i32Const(0).memory(op.i32Load, cell.tailCalls);
    this.#access.pushRegister(3);
    code.byte(op.i32WrapI64).tee(local.narrow);
    code.i32Const(map.capacity).byte(op.i32LtU).if();
    code.get(local.narrow).i32Const(map.cellStride).byte(op.i32Mul);
    code.memory(op.i32Load, map.values).tee(local.narrow).i32Const(0);
    code.byte(op.i32Ne);
    left().i32Const(0).ops(op.i32GtS, op.i32And).if();
    code.i32Const(0);
    left().i32Const(1).byte(op.i32Sub).memory(op.i32Store, cell.tailCalls);
    code.i32Const(0).i32Const(site).memory(op.i32Store, cell.site);
    code.get(local.narrow).callByName(this.#about.own("tailTo"));
    code.byte(op.return);
    code.end().end().i64Const(0);
  }

  /** The function that a register names; undefined: some function of the program. */
  callback(know: Knowledge, register: Register): number | undefined {
    const fact = factOf(know, register);
    if (fact.kind !== "function") {
      this.#about.anyCallback = true;
      return undefined;
    }
    if (this.#about.reentered.has(fact.index))
      recursive(this.#about.program, fact.index);
    return fact.index;
  }
}
