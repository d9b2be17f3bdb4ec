/**
 * Calls: to functions of the program, to helpers of the engine, and the few helpers
 * that are written in place (array lookups, time, CPU, bpf_loop, tail calls).
 */
import {
  helperByNumber,
  type Callee,
  type FunctionSpec,
  type Register,
} from "../../isa/index.ts";
import { local, localOf, type AccessWriter, type Address } from "./access.ts";
import { writeBudget } from "./budget.ts";
import { i32, i64, op, type Code } from "./encoder.ts";
import { factOf, type Fact, type Knowledge } from "./facts.ts";
import { helperCall, type HelperCall } from "./helper-calls.ts";
import { descriptor, type MapLayout } from "./layout.ts";
import { faultNumber, type ProgramContext } from "./program-context.ts";

interface CallPlace {
  readonly index: number;
  readonly site: number;
}

/** BPF_MAX_LOOPS: the most iterations of one bpf_loop. */
const maxLoops = 1 << 23;

export class CallWriter {
  readonly #about: ProgramContext;
  readonly #fn: FunctionSpec;
  readonly #code: Code;
  readonly #access: AccessWriter;

  constructor(
    about: ProgramContext,
    fn: FunctionSpec,
    code: Code,
    access: AccessWriter,
  ) {
    this.#about = about;
    this.#fn = fn;
    this.#code = code;
    this.#access = access;
  }

  call(callee: Callee, know: Knowledge, place: CallPlace): void {
    switch (callee.kind) {
      case "function": {
        const index = this.#about.functionNumber(callee.name);
        for (const register of [1, 2, 3, 4, 5] as const) {
          this.#access.escape(know, register);
          this.#access.pushRegister(register);
        }
        this.#code.callByName(`f${index}`).set(localOf(0));
        if (this.#about.movesPacket[index] === true) this.#reloadPacket();
        return;
      }
      case "helper": {
        const helper = helperCall(callee.helper);
        if (helper === undefined) {
          const name = helperByNumber(callee.helper)?.name ?? callee.helper;
          return this.#refuse(place, `helper bpf_${name}`);
        }
        return this.#helper(helper, know, place);
      }
      case "kfunc":
        return this.#refuse(place, `kernel function ${callee.name}`);
      case "raw":
        return this.#refuse(place, "unlinked call");
    }
  }

  #helper(helper: HelperCall, know: Knowledge, place: CallPlace): void {
    const map = this.#mapOf(helper, know, place);
    if (helper.inline) this.#inline(helper, know, place, map);
    else if (helper.name === "map_lookup_elem" && map?.kind === "array")
      this.#arrayLookup(map, know, place);
    else this.#import(helper, know, place, map);
    this.#code.set(localOf(0));
    if (helper.movesPacket) this.#reloadPacket();
  }

  /** The map that the call names; it must be known, and fit the helper. */
  #mapOf(
    helper: HelperCall,
    know: Knowledge,
    place: CallPlace,
  ): MapLayout | undefined {
    const at = helper.args.indexOf("map");
    if (at < 0) return undefined;
    const fact = know.registers[at + 1];
    if (fact?.kind !== "map")
      return this.#refuse(
        place,
        `bpf_${helper.name} on a map chosen at run time`,
      );
    const map = this.#about.layout.maps[fact.map];
    if (map === undefined) throw new RangeError(`no map ${fact.map}`);
    const { type } = map.spec;
    const isWrong =
      helper.name === "redirect_map"
        ? !["devmap", "devmap_hash", "cpumap", "xskmap"].includes(type)
        : helper.name.startsWith("map_") &&
          (map.kind === "foreign" || map.held !== "values");
    if (isWrong)
      return this.#refuse(
        place,
        `bpf_${helper.name} on a map of type ${map.spec.type}`,
      );
    return map;
  }

  /** Leaves the i64 result on the stack. */
  #import(
    helper: HelperCall,
    know: Knowledge,
    place: CallPlace,
    map: MapLayout | undefined,
  ): void {
    const code = this.#code;
    // Checks come first: nothing of the call is on the stack when one faults.
    const pushes = helper.args.map((_, at) =>
      this.#argument(helper, at, { know, place, map }),
    );
    code.i32Const(0).i32Const(place.site);
    code.memory(op.i32Store, this.#about.layout.cell.site);
    for (const push of pushes) push();
    code.callByName(calleeOf(helper, map));
    switch (helper.result) {
      case "long":
        code.byte(op.i64ExtendI32S);
        return;
      case "u32":
      case "pointer":
        code.byte(op.i64ExtendI32U);
        return;
      case "wide":
        code.i32Const(0).memory(op.i64Load, this.#about.layout.cell.result);
        return;
      case "void":
        code.i64Const(0);
        return;
    }
  }

  #argument(
    helper: HelperCall,
    at: number,
    about: {
      readonly know: Knowledge;
      readonly place: CallPlace;
      readonly map: MapLayout | undefined;
    },
  ): () => void {
    const code = this.#code;
    const { know, place, map } = about;
    const register = (at + 1) as Register;
    const word = helper.args[at];
    const memory = (size: number, write: boolean): (() => void) =>
      this.#pushAddress(
        this.#access.reach(know, {
          base: register,
          offset: 0,
          size,
          write,
          ...(word === "cell" ? { reads: true } : {}),
          site: place.site,
        }),
      );
    switch (word) {
      case "key":
        return memory(map?.spec.keySize ?? 0, false);
      case "cell":
        return memory(4, true);
      case "value":
        return memory(map?.spec.valueSize ?? 0, false);
      case "in":
      case "in?":
      case "out": {
        const size = constantSize(know.registers[register + 1]);
        if (size !== undefined && size > 0) return memory(size, word === "out");
        // A pointer that may be null goes with size 0, which always fits.
        return this.#pushAddress(
          this.#access.reachDynamic(
            know,
            {
              base: register,
              offset: 0,
              size: 0,
              write: word === "out",
              site: place.site,
            },
            () => this.#saturated((register + 1) as Register),
          ),
        );
      }
      case "size":
        return () => this.#saturated(register);
      case "u32":
      case "record":
        return () => {
          this.#access.pushRegister(register);
          code.byte(op.i32WrapI64);
        };
      case "wide":
        return () => {
          this.#access.pushRegister(register);
          code.byte(op.i32WrapI64);
          this.#access.pushRegister(register);
          code.i64Const(32).ops(op.i64ShrU, op.i32WrapI64);
        };
      case "ctx":
      case "map":
      case "lock":
      case "callback":
      case "any":
      case undefined:
      default:
        return () => undefined;
    }
  }

  #pushAddress({ push, offset }: Address): () => void {
    return () => {
      push();
      if (offset !== 0) this.#code.i32Const(offset).byte(op.i32Add);
    };
  }

  /** The register as an i32, or all ones if it needs more. */
  #saturated(register: Register): void {
    const code = this.#code;
    this.#access.pushRegister(register);
    code.byte(op.i32WrapI64).i32Const(-1);
    this.#access.pushRegister(register);
    code.i64Const(32).ops(op.i64ShrU, op.i64Eqz, op.select);
  }

  #inline(
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
        return this.#tailCall(map);
      case "spin_lock":
      case "spin_unlock":
        // Nobody else sees this memory.
        code.i64Const(0);
        return;
      default:
        current(op.i64Load, descriptor.time);
        return;
    }
  }

  /** values + key · size of a cell + cpu · stride, or 0 beyond the capacity. */
  #arrayLookup(map: MapLayout, know: Knowledge, { site }: CallPlace): void {
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
    code
      .get(local.narrow)
      .i32Const(map.stride * map.copies)
      .byte(op.i32Mul);
    code.i32Const(map.values).byte(op.i32Add);
    if (map.copies > 1) {
      code.i32Const(0);
      code.memory(op.i32Load, this.#about.layout.cell.current);
      code.memory(op.i32Load, descriptor.cpu);
      code.i32Const(map.stride).ops(op.i32Mul, op.i32Add);
    }
    code.byte(op.i64ExtendI32U).byte(op.else).i64Const(0).end();
  }

  /** for (i = 0; i < nr; i++) if (callback(i, ctx)) return i + 1; return i. */
  #loop(know: Knowledge, place: CallPlace): void {
    const callback = factOf(know, 2);
    if (callback.kind !== "function")
      return this.#refuse(place, "bpf_loop with a callback chosen at run time");
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
    code.get(i);
    this.#access.escape(know, 3);
    this.#access.pushRegister(3);
    code.i64Const(0).i64Const(0).i64Const(0).callByName(`f${callback.index}`);
    code.get(i).i64Const(1).byte(op.i64Add).set(i);
    code.byte(op.i64Eqz).brIf(0).end().end();
    code.get(i).end().end();
    if (this.#about.movesPacket[callback.index] === true) this.#reloadPacket();
  }

  /** The target's frame replaces this one, so its result is the caller's. */
  #tailCall(map: MapLayout | undefined): void {
    const code = this.#code;
    if (map === undefined) return;
    const { cell } = this.#about.layout;
    for (const { slot, index } of this.#about.tailTargets(map.index)) {
      this.#access.pushRegister(3);
      code.byte(op.i32WrapI64).i32Const(slot).byte(op.i32Eq);
      code.i32Const(0).memory(op.i32Load, cell.tailCalls);
      code.i32Const(0).ops(op.i32GtS, op.i32And).if();
      code.i32Const(0).i32Const(0).memory(op.i32Load, cell.tailCalls);
      code.i32Const(1).byte(op.i32Sub).memory(op.i32Store, cell.tailCalls);
      code.i64Const(cell.context);
      for (let unused = 2; unused <= 5; unused++) code.i64Const(0);
      code.callByName(`f${index}`).byte(op.return).end();
    }
    code.i64Const(0);
  }

  #reloadPacket(): void {
    this.#access.loadPacketBounds(this.#code);
  }

  #refuse(place: CallPlace, what: string): never {
    return this.#about.refuse(this.#fn, place.index, what);
  }
}

/** A function of the module where there is one (table-lookup.ts), else an import. */
function calleeOf(helper: HelperCall, map: MapLayout | undefined): string {
  if (helper.name === "redirect") return "redirect";
  if (map === undefined) return helper.name;
  if (helper.name === "map_lookup_elem" && map.kind === "hash")
    return `lookup:${map.index}`;
  if (helper.name === "redirect_map") return `redirect:${map.index}`;
  return `${helper.name}:${map.index}`;
}

function constantSize(fact: Fact | undefined): number | undefined {
  return fact?.kind === "number" && fact.value >= 0n && fact.value < 0x1_0000n
    ? Number(fact.value)
    : undefined;
}

/** The type of an import, by its name. */
export function importType(helper: HelperCall): {
  readonly parameters: readonly number[];
  readonly results: readonly number[];
} {
  const parameters = helper.args.flatMap((word) => {
    if (["ctx", "map", "lock", "callback", "any"].includes(word)) return [];
    return word === "wide" ? [i32, i32] : [i32];
  });
  const isVoid = helper.result === "void" || helper.result === "wide";
  return { parameters, results: isVoid ? [] : [i32] };
}
