/** Runs the intermediate representation; the same results as the bytecode it came from. */
import { InputError } from "../base/index.ts";
import type { IrFunction, IrProgram } from "../ir/index.ts";
import type { Code } from "./code.ts";
import { compileIr } from "./ir-code.ts";
import { Machine, needMaps, type MachineOptions } from "./machine.ts";
import type { State } from "./state.ts";

export interface IrOptions extends MachineOptions {
  /** Where tail calls may lead, besides the program's own functions. */
  readonly programs?: readonly IrProgram[];
}

export class IrMachine extends Machine {
  readonly #functions = new Map<string, IrFunction>();

  constructor(ir: IrProgram, state: State, options: IrOptions = {}) {
    const [entry] = ir.functions;
    if (entry === undefined)
      throw new InputError(`${ir.name} has no functions`, {
        code: "program-empty",
        file: ir.file,
      });
    const programs = [ir, ...(options.programs ?? [])];
    super(entry.name, ir.type, state, options, frameSize(programs));
    for (const each of programs) {
      needMaps(state, each.maps);
      for (const fn of each.functions)
        if (!this.#functions.has(fn.name)) this.#functions.set(fn.name, fn);
    }
  }

  protected override compile(name: string): Code {
    const fn = this.#functions.get(name);
    if (fn === undefined)
      throw new InputError(`no function is called ${name}`, {
        code: "function-missing",
      });
    return compileIr(this, fn);
  }
}

/** Room for the lowest slot of any function: inlined frames lie below −512. */
function frameSize(programs: readonly IrProgram[]): number {
  let size = 512;
  for (const { functions } of programs)
    for (const { slots } of functions)
      for (const { offset } of slots) size = Math.max(size, -offset);
  return Math.ceil(size / 512) * 512;
}
