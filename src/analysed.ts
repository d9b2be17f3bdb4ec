/**
 * The first two verbs: load and analyse. They stand apart from the pipeline so that what
 * only reads a program loads no generator and no engine.
 */
import { analyse, type StateReport } from "./analysis/index.ts";
import { InputError, UnsupportedError, type Diagnostic } from "./base/index.ts";
import {
  programTypeRow,
  programTypes,
  type ProgramSpec,
  type ProgramTypeName,
} from "./isa/index.ts";
import {
  applyCoreRelocations,
  fillKconfig,
  hasVariable,
  portVariables,
  programSpec,
  readBtf,
  readObject,
  resizeMap,
  setVariable,
  sizeMaps,
  writeObject,
  type KconfigLookup,
  type ObjectSpec,
} from "./object/index.ts";
import { portsFor, type Port } from "./strategy/index.ts";

export interface LoadOptions {
  readonly file: string;
  readonly entry?: string;
  readonly type?: string;
  /** Values of read-only variables. */
  readonly set: readonly (readonly [string, string])[];
  readonly ports: readonly Port[];
  readonly userWrites: readonly string[];
  /** BTF of the kernel that CO-RE records are resolved against, read on demand. */
  readonly kernelBtf: () => Uint8Array | undefined;
  /** Entries of maps, by name. */
  readonly mapSizes?: readonly (readonly [string, number])[];
  /** Of maps that neither the object nor `mapSizes` sizes; default: they stay unsized. */
  readonly unsized?: number;
  /** Values of the kernel's configuration; default: they stay unknown. */
  readonly kernelConfig?: KconfigLookup;
}

/** An object with the program that was chosen from it, analysed. */
export interface Loaded {
  readonly object: ObjectSpec;
  readonly program: ProgramSpec;
  /** The program as bytes: the user's own unless a variable was set. */
  readonly source: Uint8Array;
  readonly notes: readonly Diagnostic[];
}

/**
 * Reads an object, sets variables, resolves CO-RE records, picks the program.
 * A port `lan` also sets the variable `lan_ifindex`, where there is one.
 */
export function load(bytes: Uint8Array, options: LoadOptions): Loaded {
  const original = readObject(bytes, options.file);
  let object = original;
  for (const { name, ifindex } of options.ports)
    if (hasVariable(object, `${name}_ifindex`))
      object = setVariable(object, `${name}_ifindex`, String(ifindex));
  for (const [name, value] of options.set)
    object = setVariable(object, name, value);
  for (const [name, entries] of options.mapSizes ?? [])
    object = resizeMap(object, name, entries);
  const source = object === original ? bytes : writeObject(object);
  const { object: resolved, notes } = completed(
    relocated(object, options),
    options,
  );
  const program = programSpec(resolved, {
    ...(options.entry === undefined ? {} : { entry: options.entry }),
    ...(options.type === undefined ? {} : { type: typeNamed(options.type) }),
  });
  mustBeUnderstood(program);
  return { object, program, source, notes: [...resolved.notes, ...notes] };
}

/** What a loader fills in, filled in: sizes, and values of the kernel's configuration. */
function completed(
  object: ObjectSpec,
  { unsized, kernelConfig }: LoadOptions,
): { object: ObjectSpec; notes: readonly Diagnostic[] } {
  const notes: Diagnostic[] = [];
  const note = (code: string, message: string): void => {
    notes.push({ code, severity: "note", message });
  };
  let filled = object;
  if (unsized !== undefined) {
    const sizes = sizeMaps(filled, unsized);
    filled = sizes.object;
    for (const name of sizes.sized)
      note(
        "map-size-assumed",
        `map ${name} has no size: ${filled.maps.find((map) => map.name === name)?.maxEntries ?? 0} assumed; --map-size ${name}=N says another`,
      );
  }
  if (kernelConfig !== undefined) {
    const { object: configured, missing } = fillKconfig(filled, kernelConfig);
    filled = configured;
    for (const name of missing)
      note(
        "kconfig-unknown",
        `${name} is not known here: no value is assumed, and runs read 0`,
      );
  }
  return { object: filled, notes };
}

/** Types that only the kernel runs are loaded beside others, no more. */
function mustBeUnderstood({ name, type }: ProgramSpec): void {
  if (programTypeRow(type).kernelOnly === true)
    throw new UnsupportedError(
      `${name} is a ${type} program: such programs are loaded, not analysed or run`,
      {
        feature: `programs of type ${type}`,
        fix: "choose an XDP or TC program with --entry",
      },
    );
}

function relocated(object: ObjectSpec, options: LoadOptions): ObjectSpec {
  if (object.functions.every((fn) => fn.coreRelocations.length === 0))
    return object;
  const bytes = options.kernelBtf();
  return bytes === undefined
    ? object
    : applyCoreRelocations(object, readBtf(bytes));
}

function typeNamed(name: string): ProgramTypeName {
  const found = (Object.keys(programTypes) as ProgramTypeName[]).find(
    (type) => type === name,
  );
  if (found !== undefined) return found;
  throw new InputError(
    `--type takes ${Object.keys(programTypes).join(", ")}; not ${name}`,
    { code: "program-type-unknown", kind: "usage" },
  );
}

/** What analysis says of a program, and the ports it may be asked about. */
export interface Analysed extends Loaded {
  readonly report: StateReport;
  readonly ports: readonly Port[];
}

/** The state report, with every port that the program tests bound to a name. */
export function analyseLoaded(loaded: Loaded, options: LoadOptions): Analysed {
  const report = analyse(loaded.program, { userWrites: options.userWrites });
  const bound =
    options.ports.length > 0 ? options.ports : portVariables(loaded.object);
  return { ...loaded, report, ports: portsFor(report, bound) };
}
