/**
 * Entry functions of an object, and the one that the user means.
 *
 * Entries are the functions outside `.text`, except static ones that others
 * call; `.text` holds subprograms. Type: from the section's name, by the prefixes
 * that the program-type table lists.
 */
import { InputError, nearest } from "../base/index.ts";
import {
  isOptional,
  programTypes,
  programTypeRow,
  sectionRow,
  type FunctionSpec,
  type MapSpec,
  type ProgramSpec,
  type ProgramTypeName,
} from "../isa/index.ts";
import { textSection } from "./functions.ts";
import type { ObjectSpec, ProgramEntry } from "./spec.ts";

export interface ProgramChoice {
  /** Name of the entry function. */
  readonly entry?: string;
  readonly type?: ProgramTypeName;
}

/** One entry function with all that it can reach. */
export function programSpec(
  object: ObjectSpec,
  choice: ProgramChoice = {},
): ProgramSpec {
  const entry = chooseEntry(object, choice);
  const type = choice.type ?? entry.type;
  if (type === undefined)
    throw usage(object, {
      code: "program-type-unknown",
      text: `section \`${entry.section}\` does not tell the program type of \`${entry.name}\``,
      fix: `add --type with one of ${Object.keys(programTypes).join(", ")}`,
    });
  const functions = reachable(object, entry.name);
  return {
    file: object.file,
    name: entry.name,
    section: entry.section,
    type,
    license: object.license,
    functions,
    maps: mapsOf(object, functions),
  };
}

/** Entry functions among `functions`. */
export function entriesOf(functions: readonly FunctionSpec[]): ProgramEntry[] {
  const called = new Set(functions.flatMap((fn) => calleesOf(fn)));
  return functions
    .filter(
      ({ section, linkage, name }) =>
        section !== textSection && (linkage === "global" || !called.has(name)),
    )
    .map(({ name, section }) => ({
      name,
      section,
      type: programTypeOfSection(section),
    }));
}

/** Programs of the types that are lifted and analysed; the others are only loaded. */
export function understoodPrograms(
  object: ObjectSpec,
): readonly (ProgramEntry & { readonly type: ProgramTypeName })[] {
  return object.programs.flatMap((program) => {
    const { type } = program;
    return type === undefined || programTypeRow(type).kernelOnly === true
      ? []
      : [{ ...program, type }];
  });
}

/** As the section's name tells (isa's section table). */
export function programTypeOfSection(
  section: string,
): ProgramTypeName | undefined {
  return sectionRow(section)?.type;
}

/** Functions that `fn` calls or takes the address of. */
export function calleesOf(fn: FunctionSpec): string[] {
  const names = new Set<string>();
  for (const instruction of fn.instructions) {
    if (instruction.kind === "call" && instruction.callee.kind === "function")
      names.add(instruction.callee.name);
    if (
      instruction.kind === "load-wide" &&
      instruction.value.kind === "function"
    )
      names.add(instruction.value.name);
  }
  return [...names];
}

function chooseEntry(object: ObjectSpec, choice: ProgramChoice): ProgramEntry {
  const { programs } = object;
  if (choice.entry !== undefined) {
    const name = choice.entry;
    const entry = programs.find((program) => program.name === name);
    if (entry !== undefined) return entry;
    const fn = object.functions.find((other) => other.name === name);
    if (fn !== undefined) return { name, section: fn.section, type: undefined };
    const near = nearest(
      name,
      programs.map((program) => program.name),
    );
    throw usage(object, {
      code: "entry-unknown",
      text: `no function \`${name}\`; the programs are ${list(programs)}`,
      ...(near === undefined ? {} : { fix: `did you mean \`${near}\`?` }),
    });
  }
  const fitting =
    choice.type === undefined
      ? programs
      : programs.filter(({ type }) => (type ?? choice.type) === choice.type);
  const likely = fitting.filter(isLikely);
  const [only, second] = likely.length === 1 ? likely : fitting;
  if (only !== undefined && second === undefined) return only;
  if (programs.length === 0)
    throw new InputError("the object has no program: no code outside .text", {
      code: "program-missing",
      file: object.file,
    });
  throw usage(object, {
    code: "entry-ambiguous",
    text: `the object has ${programs.length} programs: ${list(programs)}`,
    fix: "choose one with --entry",
  });
}

/** Neither for the kernel's own ends nor only for some cases. */
function isLikely({ section, type }: ProgramEntry): boolean {
  const { kernelOnly = false } = type === undefined ? {} : programTypeRow(type);
  return !kernelOnly && !isOptional(section);
}

function reachable(object: ObjectSpec, entry: string): FunctionSpec[] {
  const byName = new Map(object.functions.map((fn) => [fn.name, fn]));
  const names = new Set([entry]);
  // A set can be added to while it is walked: this is the work list.
  for (const name of names) {
    const fn = byName.get(name);
    if (fn !== undefined) for (const callee of calleesOf(fn)) names.add(callee);
  }
  return [...names].flatMap((name) => byName.get(name) ?? []);
}

/** Maps that the functions name, and those that these hold from the start. */
function mapsOf(
  object: ObjectSpec,
  functions: readonly FunctionSpec[],
): MapSpec[] {
  const names = new Set<string>();
  for (const fn of functions)
    for (const instruction of fn.instructions) {
      if (instruction.kind !== "load-wide") continue;
      const { value } = instruction;
      if (value.kind === "map" || value.kind === "map-value")
        names.add(value.map);
    }
  const byName = new Map(object.maps.map((map) => [map.name, map]));
  for (const name of names)
    for (const { target } of byName.get(name)?.values ?? [])
      if (target.kind === "map") names.add(target.name);
  return object.maps.filter((map) => names.has(map.name));
}

function list(programs: readonly ProgramEntry[]): string {
  const shown = programs
    .slice(0, 20)
    .map(({ name, section }) => `${name} (${section})`);
  const more = programs.length - shown.length;
  return shown.join(", ") + (more > 0 ? ` and ${more} more` : "");
}

function usage(
  object: ObjectSpec,
  { code, text, fix }: { code: string; text: string; fix?: string },
): InputError {
  return new InputError(text, {
    code,
    kind: "usage",
    file: object.file,
    ...(fix === undefined ? {} : { fix }),
  });
}
