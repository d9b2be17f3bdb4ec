/**
 * The list of verbs of a network function in TypeScript: load → check → lower →
 * assemble. Text in, object out; who reads files is the caller's business.
 *
 * Law: the same texts and settings give the same bytes, wherever the files lie:
 * source lines name their files from the folder of the first one, and those of
 * the library as `divisi/nf/…`.
 */
import type { SourceDiagnostic } from "./base/index.ts";
import { lowerProgram } from "./codegen/index.ts";
import type { FunctionSpec } from "./isa/index.ts";
import {
  checkNf,
  library,
  loadNf,
  lowerNf,
  ownLibraryPath,
  type LoadedNf,
} from "./nf/index.ts";
import {
  assembleObject,
  setVariable,
  writeObject,
  type ObjectSpec,
} from "./object/index.ts";
import type { MapContents } from "./proof/index.ts";

export interface CompileOptions {
  /** The file of the network function, as messages are to name it. */
  readonly path: string;
  /** Texts by path: the user's, those beside it, and the library's sources. */
  readonly read: (path: string) => string | undefined;
  /** Configuration, and variables of the object such as `lan_ifindex`. */
  readonly set?: readonly (readonly [string, string])[];
}

export interface CompiledNf {
  readonly kind: "object";
  readonly object: ObjectSpec;
  readonly bytes: Uint8Array;
  /** What maps hold before the first packet, where a declaration says so. */
  readonly contents: MapContents;
  /** The user's files, the named one first. */
  readonly files: readonly string[];
  readonly warnings: readonly SourceDiagnostic[];
}

/** The texts are no network function of the subset: all that is wrong with them. */
export interface RefusedNf {
  readonly kind: "refused";
  readonly diagnostics: readonly SourceDiagnostic[];
}

export async function compileNf(
  options: CompileOptions,
): Promise<CompiledNf | RefusedNf> {
  const { path, read, set = [] } = options;
  const isVariable = ([name]: readonly [string, string]): boolean =>
    name.endsWith("_ifindex");
  const loaded = await loadNf(
    { path, read },
    {
      library,
      set: Object.fromEntries(set.filter((pair) => !isVariable(pair))),
    },
  );
  const { diagnostics, isCorrect, facts } = checkNf(loaded);
  if (loaded.kind === "failed" || !isCorrect)
    return { kind: "refused", diagnostics };

  const { program, types } = lowerNf(loaded.nf, facts);
  let object = assembleObject({
    file: path,
    license: "GPL",
    maps: program.maps,
    functions: lowerProgram(program).map((fn) => withFileNames(fn, path)),
    types,
  });
  for (const [name, value] of set.filter(isVariable))
    object = setVariable(object, name, value);
  return {
    kind: "object",
    object,
    bytes: writeObject(object),
    contents: initialContents(loaded.nf),
    files: loaded.nf.userFiles.map(({ fileName }) => fileName),
    warnings: diagnostics,
  };
}

/** Source lines with names that do not tell where the files lie. */
function withFileNames(fn: FunctionSpec, path: string): FunctionSpec {
  const lines = fn.lines.map((line) => ({
    ...line,
    file: nameOf(line.file, path),
  }));
  return { ...fn, lines };
}

function nameOf(file: string, path: string): string {
  const own = folderOf(ownLibraryPath());
  if (file.startsWith(own)) return `divisi/nf/${file.slice(own.length)}`;
  const [from, to] = [folderOf(path).split("/"), file.split("/")];
  let same = 0;
  while (same < from.length - 1 && from[same] === to[same]) same++;
  return [
    ...Array.from({ length: from.length - 1 - same }, () => ".."),
    ...to.slice(same),
  ].join("/");
}

function folderOf(path: string): string {
  return path.slice(0, path.lastIndexOf("/") + 1);
}

/** Of declarations with `initial`, in the map's bytes. */
function initialContents({ state }: LoadedNf): MapContents {
  const contents: Record<string, MapContents[string]> = {};
  const declared = Object.fromEntries(state) as Parameters<
    typeof library.partsOf
  >[0];
  for (const { name, declaration } of library.partsOf(declared))
    if (declaration.kind !== "composite" && hasInitial(declaration))
      // Of arrays all elements are there; those of zeros need not be said.
      contents[name] = declaration
        .renew()
        .dump()
        .filter(
          ({ value }) =>
            !declaration.kind.endsWith("array") ||
            value.some((byte) => byte !== 0),
        );
  return contents;
}

function hasInitial(declaration: object): boolean {
  const { options } = declaration as {
    readonly options?: { readonly initial?: readonly unknown[] };
  };
  return (options?.initial ?? []).length > 0;
}
