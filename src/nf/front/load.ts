/**
 * From a file to what is known about it before any packet: TypeScript's own
 * verdict, the definition given to the library's `nf`, configuration with the
 * user's settings applied, and the declarations of state as real objects.
 */
import { InputError } from "../../base/index.ts";
import { callees } from "./callees.ts";
import * as ownLibrary from "../library/index.ts";
import { evaluator } from "./constants.ts";
import { DefinitionReader } from "./definition.ts";
import { diagnosticIn } from "./diagnostics.ts";
import type {
  LoadOptions,
  LoadResult,
  NfDiagnostic,
  NfSource,
} from "./loaded.ts";
import { loadTypescript, type Ts } from "./typescript-api.ts";
import { withinStack } from "./too-deep.ts";
import {
  forgetParsed,
  virtualProgram,
  type VirtualProgram,
} from "./virtual-program.ts";

/** Where this package keeps the library's sources, seen from the built file. */
export function ownLibraryPath(): string {
  return decodeURIComponent(
    new URL("../../../src/nf/library/index.ts", import.meta.url).pathname,
  );
}

export async function loadNf(
  source: NfSource,
  options: LoadOptions = {},
): Promise<LoadResult> {
  const ts = await loadTypescript();
  return withinStack(
    source.path,
    () => load(ts, source, options),
    forgetParsed,
  );
}

function load(ts: Ts, source: NfSource, options: LoadOptions): LoadResult {
  const runtime = options.library ?? ownLibrary;
  const virtual = virtualProgram(ts, {
    path: source.path,
    libraryPath: options.libraryPath ?? ownLibraryPath(),
    read: source.read,
  });
  const { file, library } = virtual;
  if (file === undefined)
    throw new InputError("the file cannot be read", {
      code: "nf-unreadable",
      file: source.path,
    });
  if (library === undefined)
    throw new InputError("the library's source cannot be read", {
      code: "nf-library-missing",
      file: options.libraryPath ?? ownLibraryPath(),
    });
  for (const one of virtual.userFiles) refuseBytes(one.fileName, one.text);
  const diagnostics = typescriptDiagnostics(ts, virtual);
  const constants = evaluator({
    ts,
    checker: virtual.checker,
    library,
    runtime,
  });
  const found = new DefinitionReader(ts, virtual, constants, {
    ...options,
    library: runtime,
  }).read(file);
  if (found.kind === "said")
    return {
      kind: "failed",
      diagnostics: [...diagnostics, ...found.diagnostics],
      ts,
      program: virtual.program,
      checker: virtual.checker,
      userFiles: virtual.userFiles,
      constantOf: constants.constantOf,
    };
  const calls = callees({
    ts,
    checker: virtual.checker,
    evaluator: constants,
    libraryFiles: virtual.program
      .getSourceFiles()
      .filter((one) => virtual.isLibraryFile(one)),
  });
  return {
    kind: "loaded",
    diagnostics,
    nf: {
      ts,
      program: virtual.program,
      checker: virtual.checker,
      file,
      userFiles: virtual.userFiles,
      isLibraryFile: virtual.isLibraryFile,
      constantOf: constants.constantOf,
      libraryName: constants.libraryName,
      ...calls,
      ...found.parts,
    },
  };
}

/** Bytes of another kind of file are said in one line, and none is shown. */
function refuseBytes(file: string, text: string): void {
  // oxlint-disable-next-line no-control-regex
  if (/[\x00-\x08\x0e-\x1f\x7f-\x9f]/.test(text))
    throw new InputError("this is not a text file", {
      code: "nf-not-text",
      file,
      fix: "the source of a network function in TypeScript, as UTF-8",
    });
}

/** What TypeScript itself says about the user's files. */
function typescriptDiagnostics(
  ts: Ts,
  { program, userFiles }: VirtualProgram,
): readonly NfDiagnostic[] {
  return userFiles.flatMap((file) =>
    [
      ...program.getSyntacticDiagnostics(file),
      ...program.getSemanticDiagnostics(file),
    ].map((found) =>
      diagnosticIn(
        found.file ?? file,
        [found.start ?? 0, (found.start ?? 0) + (found.length ?? 1)],
        {
          code: "nf-typescript",
          message: sentence(
            ts.flattenDiagnosticMessageText(found.messageText, "\n    "),
          ),
          typescript: found.code,
        },
      ),
    ),
  );
}

/** Types by their names, wherever they are declared. */
function sentence(text: string): string {
  return text
    .replace(/\.(?=\n|$)/g, "")
    .replace(/(?:typeof )?import\("[^"]*"\)\.?/g, "");
}
