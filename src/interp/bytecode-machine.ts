/** Runs bytecode: the meaning of a program as RFC 9669 and the kernel give it. */
import { InputError } from "../base/index.ts";
import type { FunctionSpec, ProgramSpec } from "../isa/index.ts";
import { compileBytecode } from "./bytecode.ts";
import type { Code } from "./code.ts";
import { Machine, needMaps, type MachineOptions } from "./machine.ts";
import type { State } from "./state.ts";

export interface BytecodeOptions extends MachineOptions {
  /** Where tail calls may lead, besides the program's own functions. */
  readonly programs?: readonly ProgramSpec[];
}

export class BytecodeMachine extends Machine {
  readonly #functions = new Map<string, FunctionSpec>();

  constructor(
    program: ProgramSpec,
    state: State,
    options: BytecodeOptions = {},
  ) {
    const entry = program.functions[0];
    if (entry === undefined)
      throw new InputError(`${program.name} has no functions`, {
        code: "program-empty",
        file: program.file,
      });
    super(entry.name, program.type, state, options);
    for (const each of [program, ...(options.programs ?? [])]) {
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
    return compileBytecode(this, fn);
  }
}
