/**
 * The list of verbs: load → lift → analyse → plan → generate → check → emit.
 * Values in, values out; files, clocks and terminals belong to `cli`.
 */
import { InputError, type Diagnostic } from "./base/index.ts";
import {
  programTypes,
  type ProgramSpec,
  type ProgramTypeName,
} from "./isa/index.ts";
import {
  applyCoreRelocations,
  hasVariable,
  programSpec,
  readBtf,
  readObject,
  setVariable,
  variableNames,
  writeObject,
  type ObjectSpec,
} from "./object/index.ts";

/** A name for an ingress interface. */
export interface PortBinding {
  readonly name: string;
  readonly ifindex: number;
}

export interface LoadOptions {
  readonly file: string;
  readonly entry?: string;
  readonly type?: string;
  /** Values of read-only variables. */
  readonly set: readonly (readonly [string, string])[];
  readonly ports: readonly PortBinding[];
  /** BTF of the kernel that CO-RE records are resolved against, read on demand. */
  readonly kernelBtf: () => Uint8Array | undefined;
}

/** An object with the program that was chosen from it. */
export interface Loaded {
  readonly object: ObjectSpec;
  readonly program: ProgramSpec;
  /** What the program is as bytes: the user's own unless a variable was set. */
  readonly source: Uint8Array;
  readonly ports: readonly PortBinding[];
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
  const source = object === original ? bytes : writeObject(object);
  object = relocated(object, options);
  const program = programSpec(object, {
    ...(options.entry === undefined ? {} : { entry: options.entry }),
    ...(options.type === undefined ? {} : { type: typeNamed(options.type) }),
  });
  return { object, program, source, ports: options.ports, notes: object.notes };
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

/** Names of ports that the program has variables for, to suggest bindings. */
export function portVariables(object: ObjectSpec): string[] {
  return variableNames(object)
    .filter((name) => /^[a-z][a-z0-9]*_ifindex$/.test(name))
    .map((name) => name.slice(0, -"_ifindex".length));
}
