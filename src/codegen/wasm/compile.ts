/**
 * A program as one WebAssembly module.
 *
 *   import e.m         the memory, as layout.ts divides it
 *   import e.fault     (site, number): ends the run by throwing
 *   import e.NAME      a helper; e.NAME:MAP for one that works on map number MAP
 *   export run         (address of the first descriptor, how many): the packet loop
 *
 * For each packet the loop fills the context from the descriptor, runs the entry
 * function and writes verdict and packet place back. What throws leaves the address
 * of the descriptor in the `current` cell, so that its packet can be named.
 */
import { Bug, type Place } from "../../base/index.ts";
import { placeOf, type ProgramSpec } from "../../isa/index.ts";
import { writeGeneralCheck } from "./access.ts";
import { global } from "./budget.ts";
import { importType } from "./call.ts";
import {
  Code,
  encodeModule,
  FunctionTypes,
  i32,
  i64,
  op,
  type FunctionBody,
  type FunctionType,
} from "./encoder.ts";
import { writeCallAny, writeCallback } from "./callbacks.ts";
import { writeInnerLookup, writeTailTo } from "./chosen.ts";
import { xdpContext } from "./context-layout.ts";
import { directCall } from "./helper-calls.ts";
import {
  descriptor,
  layoutOf,
  type CoreOf,
  type Layout,
  type LayoutOptions,
} from "./layout.ts";
import { writePrefixLookup } from "./prefix-lookup.ts";
import { lockFunctions, writeLockFunction, writeSleepOn } from "./locks.ts";
import { ProgramContext } from "./program-context.ts";
import {
  writeLookup,
  writePlainRedirect,
  writeRedirect,
} from "./table-lookup.ts";
import { translateFunction, type Control } from "./translate.ts";

/**
 * Who has the memory: this thread alone, this thread while others look at it, or
 * several cores that run in it at once, of which the module is for one.
 */
export type Sharing = "private" | "watched" | CoreOf;

export interface CompileOptions extends Partial<Omit<LayoutOptions, "seat">> {
  readonly control?: Control;
  /** Loop entries and bpf_loop rounds of one packet before it faults. Default 2^24. */
  readonly budget?: number;
  /** Default "private". */
  readonly memory?: Sharing;
}

/** A helper that the module imports. */
export interface HelperImport {
  /** As the module spells it. */
  readonly name: string;
  readonly helper: string;
  /** Number of the map it works on. */
  readonly map?: number;
  /** Arguments and result are in cells. */
  readonly bridged?: true;
}

export interface CompiledProgram {
  readonly bytes: Uint8Array;
  readonly layout: Layout;
  readonly imports: readonly HelperImport[];
}

/** Iterations after which may_goto jumps (kernel: BPF_MAX_LOOPS). */
const mayGotoLimit = 1 << 23;
const tailCallLimit = 33;

/** Throws UnsupportedError for what the portable engine lacks, naming the line. */
export function compile(
  program: ProgramSpec,
  options: CompileOptions = {},
): CompiledProgram {
  const memory = options.memory ?? "private";
  const layout = layoutOf(program, {
    cpus: options.cpus ?? 8,
    capacities: options.capacities ?? {},
    ...(options.inner === undefined ? {} : { inner: options.inner }),
    ...(typeof memory === "string" ? {} : { seat: memory }),
  });
  const { about, bodies } = translate(program, layout, options);
  const check = new Code();
  writeGeneralCheck(check, about);
  const functions = new Map<string, FunctionBody>();
  for (const [index, body] of bodies.entries())
    functions.set(`f${index}`, body);
  functions.set("check", { type: checkType, locals: [], code: check });
  functions.set("run", runLoop(about, options.budget ?? 1 << 24));
  if (about.callbacks.length > 0)
    functions.set("callback", writeCallback(about));
  addOwnHelpers(functions, about);
  const names = [...functions.keys()];
  const imports = importsOf([...functions.values()]);
  const numbers = new Map([
    ["fault", 0],
    ...imports.map(({ name }, at): [string, number] => [name, 1 + at]),
    ...names.map((name, at): [string, number] => [
      name,
      1 + imports.length + at,
    ]),
  ]);
  const indexOf = (callee: string): number => {
    const index = numbers.get(callee);
    if (index === undefined) throw new Bug(`no function ${callee}`);
    return index;
  };
  for (const { code } of functions.values()) code.link(indexOf);
  const bytes = encodeModule(
    {
      imports: [{ name: "fault", type: faultType }, ...imports],
      memoryPages: layout.pages,
      memoryShared: memory !== "private",
      functions: [...functions.values()],
      globals: [
        { type: i32, value: 0 },
        { type: i32, value: 0 },
      ],
      exports: ["run", "callback"]
        .filter((name) => functions.has(name))
        .map((name) => ({ name, fn: indexOf(name) })),
    },
    new FunctionTypes(),
  );
  return {
    bytes,
    layout,
    imports: imports.map(({ type: _type, ...rest }) => rest),
  };
}

function translate(
  program: ProgramSpec,
  layout: Layout,
  { control = "structured" }: CompileOptions,
): { readonly about: ProgramContext; readonly bodies: FunctionBody[] } {
  for (const anyCallback of [false, true]) {
    const about = new ProgramContext(program, layout, { anyCallback });
    const bodies: FunctionBody[] = [];
    for (const index of about.order)
      bodies[index] = translateFunction(about, index, control);
    // Facts about callbacks hold only if all their callers were known.
    if (about.anyCallback === anyCallback) return { about, bodies };
  }
  throw new Bug("callbacks are unknown and known");
}

const faultType: FunctionType = { parameters: [i32, i32], results: [] };
const checkType: FunctionType = {
  parameters: [i64, i32, i32, i32],
  results: [],
};

interface Import extends HelperImport {
  readonly type: FunctionType;
}

/** The helpers that are functions of the module themselves, as far as called. */
function addOwnHelpers(
  functions: Map<string, FunctionBody>,
  about: ProgramContext,
): void {
  const { layout } = about;
  const add = ({ code }: FunctionBody): void => {
    for (const { callee } of code.calls) {
      if (functions.has(callee)) continue;
      const [name = "", number] = callee.split(":");
      const map =
        number === undefined ? undefined : layout.maps[Number(number)];
      let body: FunctionBody;
      const lock = lockFunctions.find((each) => each === callee);
      if (lock !== undefined) body = writeLockFunction(about, lock);
      else if (callee === "sleepOn") body = writeSleepOn();
      else if (callee === "tailTo") body = writeTailTo(about);
      else if (name === "inner") body = writeInnerLookup(about, Number(number));
      else if (callee === "callAny") body = writeCallAny(about);
      else if (callee === "redirect") body = writePlainRedirect(layout);
      else if (map === undefined) continue;
      else if (name === "lookup" && map.kind === "lpm")
        body = writePrefixLookup(layout, map);
      else if (name === "lookup" || name === "exact")
        body = writeLookup(layout, map);
      else if (name === "redirect") body = writeRedirect(layout, map);
      else continue;
      functions.set(callee, body);
    }
  };
  // What is added on the way is visited too.
  for (const body of functions.values()) add(body);
}

/** Every helper that some body calls, once. */
function importsOf(functions: readonly FunctionBody[]): readonly Import[] {
  const found = new Map<string, Import>();
  for (const { code } of functions)
    for (const { callee } of code.calls) {
      if (found.has(callee)) continue;
      const [helper = "", map] = callee.split(":");
      const row = directCall(helper);
      if (callee.endsWith("@"))
        found.set(callee, {
          name: callee,
          helper: callee.slice(0, -1),
          bridged: true,
          type: { parameters: [], results: [] },
        });
      else if (row !== undefined && helper !== "redirect")
        found.set(callee, {
          name: callee,
          helper,
          type: importType(row),
          ...(map === undefined ? {} : { map: Number(map) }),
        });
    }
  return [...found.values()];
}

/** run(at, count): parameters in locals 0 and 1. */
function runLoop(
  { context, program, layout }: ProgramContext,
  budget: number,
): FunctionBody {
  const { cell } = layout;
  const code = new Code();
  const [at, count] = [0, 1];
  const zero = (): Code => code.i32Const(0);
  const copy = (from: number, to: number): void => {
    zero().get(at).memory(op.i32Load, from);
    code.memory(op.i32Store, to);
  };
  code.block().loop();
  code.get(count).byte(op.i32Eqz).brIf(1);
  zero().get(at).memory(op.i32Store, cell.current);
  // Other contexts are large; the engine fills them, one packet a batch.
  if (program.type === "xdp") {
    copy(descriptor.data, context.data);
    copy(descriptor.data, context.dataMeta);
    zero().get(at).memory(op.i32Load, descriptor.data);
    code.get(at).memory(op.i32Load, descriptor.length).byte(op.i32Add);
    code.memory(op.i32Store, context.dataEnd);
    copy(descriptor.ifindex, cell.context + xdpContext.ifindex);
    copy(descriptor.rxQueue, cell.context + xdpContext.rxQueue);
  }
  zero().i32Const(tailCallLimit).memory(op.i32Store, cell.tailCalls);
  code.i32Const(budget).globalSet(global.budget);
  code.i32Const(mayGotoLimit).globalSet(global.mayGoto);
  code.get(at);
  code.i64Const(cell.context);
  for (let unused = 2; unused <= 5; unused++) code.i64Const(0);
  code.callByName("f0").byte(op.i32WrapI64);
  code.memory(op.i32Store, descriptor.verdict);
  for (const [pointer, to] of [
    [context.data, descriptor.outData],
    [context.dataEnd, descriptor.outEnd],
  ] as const) {
    code.get(at);
    zero().memory(op.i32Load, pointer);
    code.memory(op.i32Store, to);
  }
  code.get(at).i32Const(descriptor.size).byte(op.i32Add).set(at);
  code.get(count).i32Const(1).byte(op.i32Sub).set(count);
  code.br(0).end().end();
  return {
    type: { parameters: [i32, i32], results: [] },
    locals: [],
    code,
  };
}

/** Function and instruction of the site number that a fault hands over. */
export function placeOfSite(program: ProgramSpec, site: number): Place {
  let first = 0;
  for (const fn of program.functions) {
    const next = first + fn.instructions.length;
    if (site < next) return placeOf(fn, site - first);
    first = next;
  }
  throw new Bug(`no instruction has site number ${site}`);
}
