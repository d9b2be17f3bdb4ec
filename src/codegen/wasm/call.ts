/**
 * Calls: to functions of the program and to helpers of the engine, directly or through
 * cells; those written in place are in inline-call.ts.
 */
import {
  helperByNumber,
  type Callee,
  type FunctionSpec,
  type Register,
} from "../../isa/index.ts";
import { localOf, type AccessWriter, type Address } from "./access.ts";
import { i32, op, type Code } from "./encoder.ts";
import type { Fact, Knowledge } from "./facts.ts";
import { bridgeOf, calledHelper, type HelperCall } from "./helper-calls.ts";
import { InlineWriter, type CallPlace } from "./inline-call.ts";
import type { MapLayout } from "./layout.ts";
import { GuardedCalls } from "./guarded-calls.ts";
import type { ProgramContext } from "./program-context.ts";
import { hasLookup } from "./table-lookup.ts";

export class CallWriter {
  readonly #about: ProgramContext;
  readonly #fn: FunctionSpec;
  readonly #code: Code;
  readonly #access: AccessWriter;
  readonly #inline: InlineWriter;
  readonly #guarded: GuardedCalls | undefined;

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
    this.#inline = new InlineWriter(about, code, access);
    this.#guarded =
      about.guard && new GuardedCalls(about, about.guard, code, access);
  }

  call(callee: Callee, know: Knowledge, place: CallPlace): void {
    switch (callee.kind) {
      case "function": {
        const index = this.#about.functionNumber(callee.name);
        for (const register of [1, 2, 3, 4, 5] as const) {
          this.#access.escape(know, register);
        }
        if (this.#guarded === undefined) this.#pushArguments();
        if (this.#guarded === undefined) this.#code.callByName(`f${index}`);
        else this.#guarded.functionCall(index, place.site);
        this.#code.set(localOf(0));
        this.#about.guard?.called(this.#code);
        if (this.#about.movesPacket[index] === true) this.#reloadPacket();
        return;
      }
      case "helper":
      case "kfunc": {
        const helper = calledHelper(callee);
        if (helper === undefined) return this.#refuse(place, nameOf(callee));
        return this.#helper(helper, know, place);
      }
      case "raw":
        return this.#refuse(place, "unlinked call");
    }
  }

  #pushArguments(): void {
    for (const register of [1, 2, 3, 4, 5] as const)
      this.#access.pushRegister(register);
  }

  #helper(helper: HelperCall, know: Knowledge, place: CallPlace): void {
    const map = this.#mapOf(helper, know, place);
    this.#guarded?.helper(helper, know, map);
    if (helper.inline) this.#inline.call(helper, know, place, map);
    else if (helper.name === "map_lookup_elem" && isInner(know))
      this.#innerLookup(know, place);
    else if (this.#isBridged(helper, map)) this.#bridge(helper, know, place);
    else if (helper.name === "map_lookup_elem" && map?.kind === "array")
      this.#inline.arrayLookup(map, know, place);
    else this.#import(helper, know, place, map);
    this.#code.set(localOf(0));
    if (helper.bridged) this.#about.guard?.called(this.#code);
    if (helper.movesPacket) this.#reloadPacket();
  }

  /** The map that the call names, if that is known; it must fit the helper then. */
  #mapOf(
    helper: HelperCall,
    know: Knowledge,
    place: CallPlace,
  ): MapLayout | undefined {
    const at = helper.args.indexOf("map");
    if (at < 0) return undefined;
    const fact = know.registers[at + 1];
    if (fact?.kind !== "map") {
      if (helper.inline)
        this.#refuse(place, `bpf_${helper.name} on a map chosen at run time`);
      return undefined;
    }
    const map = this.#about.layout.maps[fact.map];
    if (map === undefined) throw new RangeError(`no map ${fact.map}`);
    const { type } = map.spec;
    const isWrong =
      helper.name === "redirect_map"
        ? !["devmap", "devmap_hash", "cpumap", "xskmap"].includes(type)
        : helper.name.includes("map_") && !isFor(helper.name, map);
    if (isWrong)
      return this.#refuse(
        place,
        `bpf_${helper.name} on a map of type ${map.spec.type}`,
      );
    return map;
  }

  #isBridged(helper: HelperCall, map: MapLayout | undefined): boolean {
    if (helper.bridged) return true;
    if (helper.args.includes("map") && map === undefined) return true;
    // Other flags and another verdict there.
    return helper.name === "redirect" && this.#about.program.type !== "xdp";
  }

  /** A lookup in a map that a map of maps held. */
  #innerLookup(know: Knowledge, { site }: CallPlace): void {
    const code = this.#code;
    const [fact] = know.registers.slice(1);
    if (fact?.kind !== "inner") return;
    const [first = 0] = this.#about.innerSets[fact.set] ?? [];
    const key = this.#access.reach(know, {
      base: 2,
      offset: 0,
      size: this.#about.layout.maps[first]?.spec.keySize ?? 0,
      write: false,
      site,
    });
    code.i32Const(0).i32Const(site);
    code.memory(op.i32Store, this.#about.layout.cell.site);
    this.#access.pushRegister(1);
    code.byte(op.i32WrapI64);
    this.#pushAddress(key)();
    code.callByName(this.#about.own(`inner:${fact.set}`));
    code.byte(op.i64ExtendI32U);
  }

  /** r1 … r5 into their cells, the import, the result out of its cell. */
  #bridge(helper: HelperCall, know: Knowledge, place: CallPlace): void {
    const code = this.#code;
    const { cell } = this.#about.layout;
    const bridge = bridgeOf(helper);
    if (bridge === undefined)
      return this.#refuse(place, `helper bpf_${helper.name}`);
    for (let register = 1; register <= bridge.count; register++) {
      this.#access.escape(know, register as Register);
      code.i32Const(0);
      this.#access.pushRegister(register as Register);
      code.memory(op.i64Store, cell.args + 8 * (register - 1));
    }
    code.i32Const(0).i32Const(place.site).memory(op.i32Store, cell.site);
    code.callByName(`${bridge.name}@`);
    code.i32Const(0).memory(op.i64Load, cell.result);
    const at = bridge.args.indexOf("callback");
    if (at < 0) return;
    const callback = this.#inline.callback(know, (at + 1) as Register);
    if (this.#about.callbackMoves(callback)) this.#reloadPacket();
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
          site: place.site,
        }),
      );
    switch (word) {
      case "key":
        return memory(map?.spec.keySize ?? 0, false);
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

  #reloadPacket(): void {
    this.#access.loadPacketBounds(this.#code);
  }

  #refuse(place: CallPlace, what: string): never {
    return this.#about.refuse(this.#fn, place.index, what);
  }
}

function nameOf(callee: Callee): string {
  if (callee.kind === "kfunc") return `kernel function ${callee.name}`;
  const number = callee.kind === "helper" ? callee.helper : 0;
  return `helper bpf_${helperByNumber(number)?.name ?? number}`;
}

/** A function of the module where there is one (table-lookup.ts), else an import. */
function calleeOf(helper: HelperCall, map: MapLayout | undefined): string {
  if (helper.name === "redirect") return "redirect";
  if (map === undefined) return helper.name;
  if (helper.name === "map_lookup_elem" && hasLookup(map))
    return `lookup:${map.index}`;
  if (helper.name === "redirect_map") return `redirect:${map.index}`;
  return `${helper.name}:${map.index}`;
}

/** Whether a helper on maps works on that one. Source: check_map_func_compatibility. */
function isFor(helper: string, { kind, held }: MapLayout): boolean {
  switch (helper) {
    case "map_push_elem":
    case "map_peek_elem":
      return kind === "queue" || kind === "bloom";
    case "map_pop_elem":
      return kind === "queue";
    default: {
      const hasCells = !["foreign", "queue", "bloom"].includes(kind);
      const inner = helper === "map_lookup_elem" && held === "maps";
      return hasCells && (held === "values" || inner);
    }
  }
}

function isInner(know: Knowledge): boolean {
  return know.registers[1]?.kind === "inner";
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
