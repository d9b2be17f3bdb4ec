/**
 * A program as one WebAssembly module.
 *
 *   import e.m         the memory, as layout.ts divides it
 *   import e.fault     (site, number): ends the run by throwing
 *   import e.NAME      a helper; e.NAME:MAP for one that works on map number MAP
 *   export run         (address of the first descriptor, how many): the packet loop
 *   export attempt …   of a guarded program: guard-loop.ts
 *
 * For each packet the loop fills the context from the descriptor, runs the entry
 * function and writes verdict and packet place back. What throws leaves the address
 * of the descriptor in the `current` cell, so that its packet can be named.
 */
import { Bug, UnsupportedError, type Place } from "../../base/index.ts";
import { placeOf, type ProgramSpec } from "../../isa/index.ts";
import { writeGeneralCheck } from "./access.ts";
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
import { writePlaced, writeRefresh } from "./ageing.ts";
import { writeCallAny, writeCallback } from "./callbacks.ts";
import { writeInnerLookup, writeTailTo } from "./chosen.ts";
import { Guard, type Variant } from "./guard.ts";
import type { GuardOptions } from "./guard-layout.ts";
import { guardedLoop } from "./guard-loop.ts";
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
import { writeEntry, writePlace, writeStart } from "./packet-loop.ts";
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
  /** Cores of one memory do not get in each other's way. */
  readonly guard?: GuardOptions;
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
    ...(options.guard === undefined ? {} : { guard: options.guard }),
  });
  if (layout.guard !== undefined) checkGuarded(program, memory);
  const { about, bodies } = translate(program, layout, options, "exclusive");
  const check = new Code();
  writeGeneralCheck(check, about);
  const functions = new Map<string, FunctionBody>();
  for (const [index, body] of bodies.entries())
    functions.set(`f${index}`, body);
  functions.set("check", { type: checkType, locals: [], code: check });
  const budget = options.budget ?? 1 << 24;
  const { guard } = layout;
  let attempts: ProgramContext | undefined;
  if (guard === undefined) functions.set("run", runLoop(about, budget));
  else {
    const attempt = translate(program, layout, options, "attempt");
    attempts = attempt.about;
    for (const [index, body] of attempt.bodies.entries())
      functions.set(`f${index}~`, body);
    const headRoom = showsHeadRoom([...functions.values()]);
    const loop = { about, guard, budget, headRoom };
    for (const [name, body] of guardedLoop(loop)) functions.set(name, body);
  }
  if (about.callbacks.length > 0)
    functions.set("callback", writeCallback(about, attempts !== undefined));
  addOwnHelpers(functions, about, attempts);
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
      globals: Array.from({ length: guard === undefined ? 2 : 6 }, () => ({
        type: i32,
        value: 0,
      })),
      exports: ["run", "callback", "attempt", "exclusive", "release"]
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
  variant: Variant,
): { readonly about: ProgramContext; readonly bodies: FunctionBody[] } {
  for (const anyCallback of [false, true]) {
    const about = new ProgramContext(program, layout, {
      anyCallback,
      ...(layout.guard === undefined
        ? {}
        : { guard: new Guard(layout, layout.guard, variant) }),
    });
    const bodies: FunctionBody[] = [];
    for (const index of about.order)
      bodies[index] = translateFunction(about, index, control);
    // Facts about callbacks hold only if all their callers were known.
    if (about.anyCallback === anyCallback) return { about, bodies };
  }
  throw new Bug("callbacks are unknown and known");
}

/** What a frame shows in front of the packet is zeros, until the program writes there. */
function showsHeadRoom(functions: readonly FunctionBody[]): boolean {
  return functions.some(({ code }) =>
    code.calls.some(({ callee }) =>
      ["xdp_adjust_head", "xdp_adjust_meta"].includes(callee),
    ),
  );
}

function checkGuarded({ file, type }: ProgramSpec, memory: Sharing): void {
  if (typeof memory === "string")
    throw new Bug(`${file}: a guarded program is for cores of one memory`);
  if (type !== "xdp")
    throw new UnsupportedError(
      `${file}: only XDP programs can be guarded, not ${type}`,
      { feature: "locks and transactions around programs that are not XDP" },
    );
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
  plain: ProgramContext,
  attempts: ProgramContext | undefined,
): void {
  const { layout } = plain;
  const add = ({ code }: FunctionBody): void => {
    for (const { callee: wanted } of code.calls) {
      if (functions.has(wanted)) continue;
      const isOfAttempt = wanted.endsWith("~");
      const callee = isOfAttempt ? wanted.slice(0, -1) : wanted;
      const about = isOfAttempt ? (attempts ?? plain) : plain;
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
      else if (name === "refresh" || name === "placed")
        body = chainFunction(layout, name, map.index);
      else if (name === "lookup" && map.kind === "lpm")
        body = writePrefixLookup(layout, map);
      else if (name === "lookup" || name === "exact")
        body = writeLookup(layout, map);
      else if (name === "redirect") body = writeRedirect(layout, map);
      else continue;
      functions.set(wanted, body);
    }
  };
  // What is added on the way is visited too.
  for (const body of functions.values()) add(body);
}

function chainFunction(
  layout: Layout,
  name: "refresh" | "placed",
  map: number,
): FunctionBody {
  const { guard } = layout;
  const chain = guard?.chains.find((each) => each.map === map);
  if (guard === undefined || chain === undefined)
    throw new Bug(`map ${map} is no chain`);
  return name === "refresh"
    ? writeRefresh(layout, guard, chain)
    : writePlaced(layout, guard, chain);
}

/** What guarded code asks of the engine; without arguments and results. */
const guardImports = ["restart", "settle", "settleHead"];

/** Every helper that some body calls, once. */
function importsOf(functions: readonly FunctionBody[]): readonly Import[] {
  const found = new Map<string, Import>();
  for (const { code } of functions)
    for (const { callee } of code.calls) {
      if (found.has(callee)) continue;
      const [helper = "", map] = callee.split(":");
      const row = directCall(helper);
      if (guardImports.includes(helper))
        found.set(callee, {
          name: callee,
          helper,
          type: { parameters: [], results: [] },
          ...(map === undefined ? {} : { map: Number(map) }),
        });
      else if (callee.endsWith("@"))
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
function runLoop(about: ProgramContext, budget: number): FunctionBody {
  const code = new Code();
  const [at, count] = [0, 1];
  code.block().loop();
  code.get(count).byte(op.i32Eqz).brIf(1);
  writeStart(code, about, at, budget);
  code.get(at);
  writeEntry(code, about, "f0");
  code.byte(op.i32WrapI64).memory(op.i32Store, descriptor.verdict);
  writePlace(code, about, at);
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
