/**
 * What can be patched: functions and maps, of an object as of a program. A patch
 * takes the whole and gives the whole back, so that what else an object has (BTF,
 * variables, licence) goes along; types for new functions are made when the object is
 * written.
 */
import { Bug } from "../../../base/index.ts";
import {
  parseFunctions,
  type FunctionSpec,
  type MapSpec,
} from "../../../isa/index.ts";
import { signed } from "./assembled.ts";

export interface Code {
  readonly functions: readonly FunctionSpec[];
  readonly maps: readonly MapSpec[];
}

export function functionOf(code: Code, name: string): FunctionSpec {
  const found = code.functions.find((fn) => fn.name === name);
  if (found === undefined) throw new Bug(`there is no function ${name}`);
  return found;
}

export function mapOf(code: Code, name: string): MapSpec {
  const found = code.maps.find((map) => map.name === name);
  if (found === undefined) throw new Bug(`there is no map ${name}`);
  return found;
}

/** They take the places of those of their names; new ones stand behind the others. */
export function withFunctions<T extends Code>(
  code: T,
  functions: readonly FunctionSpec[],
): T {
  const given = new Map(functions.map((fn) => [fn.name, fn]));
  const kept = code.functions.map((fn) => given.get(fn.name) ?? fn);
  const standing = new Set(kept.map(({ name }) => name));
  const added = functions.filter(({ name }) => !standing.has(name));
  return { ...code, functions: [...kept, ...added] };
}

/** Static functions from text: `function NAME`, its code, and so on. */
export function withStaticFunctions<T extends Code>(code: T, text: string): T {
  const functions = parseFunctions(signed(text)).map((fn): FunctionSpec => ({
    ...fn,
    section: ".text",
    linkage: "static",
  }));
  for (const { name } of functions)
    if (code.functions.some((fn) => fn.name === name))
      throw new Bug(`there is a function ${name} already`);
  return withFunctions(code, functions);
}

/** The function's code anew; its name, type and first source line stay. */
export function withBody(fn: FunctionSpec, text: string): FunctionSpec {
  const [body] = parseFunctions(
    `function ${JSON.stringify(fn.name)}\n${signed(text)}`,
  );
  if (body === undefined) throw new Bug(`${fn.name}: no code`);
  const [first] = fn.lines;
  return {
    ...fn,
    instructions: body.instructions,
    lines: first === undefined ? [] : [{ ...first, at: 0 }],
    coreRelocations: [],
  };
}

/** A declared map, behind the others that are declared. */
export function withMap<T extends Code>(
  code: T,
  map: Omit<MapSpec, "section">,
): T {
  if (code.maps.some(({ name }) => name === map.name))
    throw new Bug(`there is a map ${map.name} already`);
  const isData = ({ section }: MapSpec): boolean =>
    section.startsWith(".") && section !== declared;
  const at = code.maps.findIndex(isData);
  const end = at < 0 ? code.maps.length : at;
  const added: MapSpec = { ...map, section: declared };
  return {
    ...code,
    maps: [...code.maps.slice(0, end), added, ...code.maps.slice(end)],
  };
}

const declared = ".maps";
/** The map of its name is another one from now on. */
export function withReplacedMap<T extends Code>(code: T, map: MapSpec): T {
  mapOf(code, map.name);
  return {
    ...code,
    maps: code.maps.map((other) => (other.name === map.name ? map : other)),
  };
}
