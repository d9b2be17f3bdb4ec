/**
 * Calls of helpers with a map, and all that a function does with a map's address
 * otherwise. Whoever changes a map's layout patches the calls that it knows and
 * refuses the rest: a use that nobody saw is the one that breaks.
 */
import { printPlace, UnsupportedError } from "../../../base/index.ts";
import {
  helperByNumber,
  placeOf,
  type FunctionSpec,
  type Register,
} from "../../../isa/index.ts";
import type { Code } from "./code.ts";
import { registerContents } from "./register-contents.ts";

export interface MapCall {
  readonly at: number;
  /** `map_lookup_elem`, … */
  readonly helper: string;
  /** Argument register with the map's address. */
  readonly register: Register;
  /** Undefined: one of several, or not known. */
  readonly map: string | undefined;
}

/** Every call of a helper that takes a map. */
export function mapCalls(fn: FunctionSpec): readonly MapCall[] {
  const contents = registerContents(fn);
  return fn.instructions.flatMap((instruction, at): MapCall[] => {
    if (instruction.kind !== "call" || instruction.callee.kind !== "helper")
      return [];
    const helper = helperByNumber(instruction.callee.helper);
    const argument =
      helper?.args?.findIndex(({ kind }) => kind === "map") ?? -1;
    if (helper === undefined || argument < 0) return [];
    const register = (argument + 1) as Register;
    const here = contents[at];
    if (here === undefined) return [];
    const content = here.registers.get(register);
    return [
      {
        at,
        helper: helper.name,
        register,
        map: content?.kind === "map" ? content.map : undefined,
      },
    ];
  });
}

/**
 * The calls with `map` in every function, by function. Refused: a call with another
 * helper than `helpers`, an address that goes anywhere but into a call, and in a
 * function that has the map's address a call whose map is not known.
 */
export function callsWith(
  code: Code,
  map: string,
  helpers: ReadonlySet<string>,
): ReadonlyMap<string, readonly MapCall[]> {
  const found = new Map<string, readonly MapCall[]>();
  for (const fn of code.functions) {
    if (!hasAddress(fn, map)) continue;
    const calls = mapCalls(fn);
    for (const call of calls) {
      if (call.map !== undefined && call.map !== map) continue;
      if (call.map === undefined)
        throw refused(fn, call.at, `a call may be one with map ${map}`);
      if (!helpers.has(call.helper))
        throw refused(fn, call.at, `${call.helper} takes map ${map}`);
    }
    checkAddress(fn, map);
    found.set(
      fn.name,
      calls.filter((call) => call.map === map),
    );
  }
  return found;
}

/** Does the function name the map? */
export function hasAddress(fn: FunctionSpec, map: string): boolean {
  return fn.instructions.some(
    (instruction) =>
      instruction.kind === "load-wide" &&
      (instruction.value.kind === "map" ||
        instruction.value.kind === "map-value") &&
      instruction.value.map === map,
  );
}

/** A use of the map's address that is no call of a helper; undefined: there is none. */
export function strayUse(
  fn: FunctionSpec,
  map: string,
): { readonly at: number; readonly text: string } | undefined {
  const contents = registerContents(fn);
  for (const [at, instruction] of fn.instructions.entries()) {
    const registers = contents[at]?.registers;
    if (registers === undefined) continue;
    const holds = (register: Register): boolean => {
      const content = registers.get(register);
      return content?.kind === "map" && content.map === map;
    };
    if (
      instruction.kind === "call" &&
      instruction.callee.kind !== "helper" &&
      ([1, 2, 3, 4, 5] as const).some(holds)
    )
      return { at, text: `map ${map} is handed to another function` };
    if (
      instruction.kind === "store" &&
      instruction.src.kind === "register" &&
      holds(instruction.src.register) &&
      registers.get(instruction.base)?.kind !== "frame"
    )
      return { at, text: `the address of ${map} is stored` };
  }
  return undefined;
}

/** The address stays in registers and spilled words until a helper takes it. */
function checkAddress(fn: FunctionSpec, map: string): void {
  const direct = fn.instructions.findIndex(
    (instruction) =>
      instruction.kind === "load-wide" &&
      instruction.value.kind === "map-value" &&
      instruction.value.map === map,
  );
  if (direct >= 0)
    throw refused(fn, direct, `the cells of ${map} are addressed directly`);
  const stray = strayUse(fn, map);
  if (stray !== undefined) throw refused(fn, stray.at, stray.text);
}

function refused(fn: FunctionSpec, at: number, text: string): UnsupportedError {
  return new UnsupportedError(`${printPlace(placeOf(fn, at))}: ${text}`, {
    feature:
      "a private layout for a map that is used in other ways than look-ups",
    fix: "look cells up where they are needed, one map at each place",
  });
}
