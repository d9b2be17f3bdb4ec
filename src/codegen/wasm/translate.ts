/**
 * One function of the program as one WebAssembly function of five i64 parameters
 * (r1 … r5) and an i64 result (r0). Registers are locals; r10 is a constant.
 *
 * Blocks are placed by control.ts; this file writes what is inside them, one
 * instruction at a time, next to the facts of transfer.ts. Every entry into a loop
 * head spends one unit of the packet's budget.
 */
import type { FunctionSpec, Instruction, Register } from "../../isa/index.ts";
import {
  AccessWriter,
  local,
  localOf,
  localTypes,
  type Access,
} from "./access.ts";
import { loadOp, storeOp, writeAlu, writeBranch, writeEndian } from "./alu.ts";
import { AtomicWriter } from "./atomics.ts";
import { writeBudget, writeMayGoto } from "./budget.ts";
import { CallWriter } from "./call.ts";
import { functionAddress } from "./callbacks.ts";
import {
  dispatchControl,
  structuredControl,
  type BlockWriter,
} from "./control.ts";
import { Code, i64, op, type FunctionBody } from "./encoder.ts";
import {
  copyKnowledge,
  entryKnowledge,
  factOf,
  type Knowledge,
} from "./facts.ts";
import { flowGraph } from "./flow-graph.ts";
import { frameTop } from "./layout.ts";
import { mapHandle } from "./map-layout.ts";
import { writeChainLoad } from "./chain-load.ts";
import { fieldOf, writeFieldLoad, writeFieldStore } from "./field-refresh.ts";
import { writePacketLoad } from "./packet-load.ts";
import { faultNumber, type ProgramContext } from "./program-context.ts";
import { solve, transfer } from "./transfer.ts";

/** How blocks are nested; `structured` falls back to `dispatch` where it must. */
export type Control = "structured" | "dispatch";

export const functionType = {
  parameters: [i64, i64, i64, i64, i64],
  results: [i64],
} as const;

export function translateFunction(
  about: ProgramContext,
  index: number,
  control: Control,
): FunctionBody {
  const fn = about.program.functions[index];
  if (fn === undefined) throw new RangeError(`no function ${index}`);
  return new Translator(about, fn, index).translate(control);
}

class Translator {
  readonly #about: ProgramContext;
  readonly #fn: FunctionSpec;
  readonly #index: number;
  readonly #code = new Code();
  readonly #access: AccessWriter;
  readonly #atomics: AtomicWriter;
  readonly #calls: CallWriter;
  #know: Knowledge = entryKnowledge([]);

  constructor(about: ProgramContext, fn: FunctionSpec, index: number) {
    this.#about = about;
    this.#fn = fn;
    this.#index = index;
    this.#access = new AccessWriter(
      this.#code,
      about,
      frameTop(about.layout, index),
    );
    this.#atomics = new AtomicWriter(about, this.#code, this.#access);
    this.#calls = new CallWriter(about, fn, this.#code, this.#access);
  }

  translate(control: Control): FunctionBody {
    const graph = flowGraph(this.#fn);
    const parameters = this.#about.parameters[this.#index] ?? [];
    const starts = solve(this.#about, this.#fn, graph, parameters);
    const writer: BlockWriter = {
      loopHead: (number) => {
        const at = graph.blocks[number]?.first ?? 0;
        writeBudget(this.#code, () =>
          this.#access.fault(this.#site(at), faultNumber.budget),
        );
      },
      body: (number) => {
        const block = graph.blocks[number];
        if (block === undefined) return;
        this.#know = copyKnowledge(starts[number] ?? entryKnowledge([]));
        for (let index = block.first; index < block.end; index++) {
          this.#instruction(index);
          transfer(this.#about, this.#know, this.#fn, index);
        }
      },
      condition: (number) => {
        const last =
          this.#fn.instructions[(graph.blocks[number]?.end ?? 0) - 1];
        if (last?.kind === "branch")
          writeBranch(this.#code, last, (register) =>
            this.#access.pushRegister(register),
          );
        else writeMayGoto(this.#code);
      },
    };
    if (control === "structured" && graph.reducible)
      structuredControl(graph, this.#code, writer);
    else dispatchControl(graph, this.#code, writer, local.counter);
    const code = new Code();
    if (this.#access.readsFresh) this.#access.clearFrame(code);
    if (this.#access.usesPacket) this.#access.loadPacketBounds(code);
    code.append(this.#code);
    return { type: functionType, locals: localTypes, code };
  }

  #site(index: number): number {
    return (this.#about.firstSite[this.#index] ?? 0) + index;
  }

  #push(register: Register): void {
    this.#access.pushRegister(register);
  }

  #set(register: Register): void {
    if (register === 10) this.#code.byte(op.drop);
    else this.#code.set(localOf(register));
  }

  #instruction(index: number): void {
    const instruction = this.#fn.instructions[index];
    const code = this.#code;
    switch (instruction?.kind) {
      case "alu":
        writeAlu(code, instruction, (register) => this.#push(register));
        return this.#set(instruction.dst);
      case "neg":
        if (instruction.width === 64) {
          code.i64Const(0);
          this.#push(instruction.dst);
          code.byte(op.i64Sub);
        } else {
          code.i32Const(0);
          this.#push(instruction.dst);
          code.ops(op.i32WrapI64, op.i32Sub, op.i64ExtendI32U);
        }
        return this.#set(instruction.dst);
      case "endian":
        this.#push(instruction.dst);
        writeEndian(code, instruction.op);
        return this.#set(instruction.dst);
      case "load-wide":
        this.#wide(instruction, index);
        return this.#set(instruction.dst);
      case "load":
        this.#load(instruction, instruction.signed, index);
        return this.#set(instruction.dst);
      case "load-acquire":
        this.#atomics.load(this.#know, {
          ...instruction,
          site: this.#site(index),
        });
        return this.#set(instruction.dst);
      case "store":
        if (instruction.src.kind === "register")
          this.#access.escape(this.#know, instruction.src.register);
        return this.#store(instruction, index, () => {
          if (instruction.src.kind === "register")
            this.#push(instruction.src.register);
          else code.i64Const(instruction.src.value);
        });
      case "store-release":
        this.#access.escape(this.#know, instruction.src);
        return this.#atomics.store(
          this.#know,
          { ...instruction, site: this.#site(index) },
          instruction.src,
        );
      case "atomic":
        this.#access.escape(this.#know, instruction.src);
        this.#atomics.update(instruction, this.#know, this.#site(index));
        if (instruction.fetch)
          this.#set(instruction.op === "cmpxchg" ? 0 : instruction.src);
        return;
      case "call":
        return this.#calls.call(instruction.callee, this.#know, {
          index,
          site: this.#site(index),
        });
      case "exit":
        this.#push(0);
        code.byte(op.return);
        return;
      case "address-cast":
        return this.#refuse(index, "arena (address cast)");
      case "call-register":
        return this.#refuse(index, "indirect call");
      case "load-packet": {
        // The kernel takes them from types with a socket buffer only.
        const { type } = this.#about.program;
        if (type !== "sched_cls" && type !== "socket_filter")
          return this.#refuse(index, `LD_ABS and LD_IND in type ${type}`);
        writePacketLoad(code, instruction, this.#about.context, (register) =>
          this.#push(register),
        );
        return this.#set(0);
      }
      case "jump":
      case "branch":
      case "may-goto":
      case undefined:
        return;
    }
  }

  #wide(
    { value }: Instruction & { readonly kind: "load-wide" },
    index: number,
  ): void {
    switch (value.kind) {
      case "number":
        this.#code.i64Const(value.value);
        return;
      case "map":
        // Never dereferenced, only handed to helpers that know it; not null.
        this.#code.i64Const(mapHandle(this.#about.mapNumber(value.map)));
        return;
      case "map-value": {
        const map = this.#about.layout.maps[this.#about.mapNumber(value.map)];
        this.#code.i64Const((map?.values ?? 0) + value.offset);
        return;
      }
      case "function":
        this.#code.i64Const(
          functionAddress(this.#about.functionNumber(value.name)),
        );
        return;
      case "kernel-symbol":
        return this.#refuse(index, `kernel symbol ${value.name}`);
      case "raw":
        return this.#refuse(index, "unlinked load");
    }
  }

  #access64(
    { base, offset, size }: Pick<Access, "base" | "offset" | "size">,
    write: boolean,
    index: number,
  ) {
    const site = this.#site(index);
    return this.#access.reach(this.#know, { base, offset, size, write, site });
  }

  #load(
    load: Pick<Access, "base" | "offset" | "size">,
    signed: boolean,
    index: number,
  ): void {
    const address = this.#access64(load, false, index);
    const plain = (): void => {
      address.push();
      this.#code.memory(loadOp(load.size, signed), address.offset);
    };
    const field = fieldOf(
      this.#about.guard,
      factOf(this.#know, load.base),
      load,
    );
    if (field !== undefined) {
      plain();
      return writeFieldLoad(this.#code, this.#about, field);
    }
    if (this.#about.guard === undefined) return plain();
    writeChainLoad(this.#code, this.#about, {
      load,
      fact: factOf(this.#know, load.base),
      fn: this.#fn,
      index,
      plain,
      pushBase: () => this.#push(load.base),
    });
  }

  #store(
    store: Instruction & { readonly kind: "store" },
    index: number,
    pushValue: () => void,
  ): void {
    const { guard } = this.#about;
    const { src } = store;
    const fact = factOf(this.#know, store.base);
    const field =
      src.kind === "register" ? fieldOf(guard, fact, store) : undefined;
    const { base, offset, size } = store;
    const address = this.#access.reach(this.#know, {
      base,
      offset,
      size,
      write: true,
      stamps: field !== undefined,
      site: this.#site(index),
    });
    if (field !== undefined && src.kind === "register")
      return writeFieldStore(this.#code, this.#about, this.#access, {
        address,
        src: src.register,
      });
    address.push();
    pushValue();
    this.#code.memory(storeOp(store.size), address.offset);
  }

  #refuse(index: number, what: string): never {
    return this.#about.refuse(this.#fn, index, what);
  }
}
