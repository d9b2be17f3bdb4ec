/**
 * Reading the user's files and writing ours. Directories appear whole or not at
 * all: they are written to a sibling and renamed.
 */
import { createHash } from "node:crypto";
import {
  accessSync,
  chmodSync,
  constants,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { InputError } from "../base/index.ts";
import { begin, finish } from "./unfinished.ts";

/** The whole file, `-` the standard input; what the file system says becomes an InputError. */
export function readInput(path: string): Uint8Array {
  try {
    if (path !== "-" && statSync(path).isDirectory())
      throw new InputError("is a directory, a file is expected", {
        code: "input-directory",
        file: path,
      });
    return new Uint8Array(readFileSync(path === "-" ? 0 : path));
  } catch (error) {
    if (error instanceof InputError) throw error;
    throw fileError(error, path);
  }
}

/** Makes an InputError of what the file system said. */
export function fileError(error: unknown, path: string): InputError {
  const code =
    error instanceof Error && "code" in error ? String(error.code) : "";
  const words: Readonly<Record<string, string>> = {
    ENOENT: "no such file",
    EACCES: "permission denied",
    EISDIR: "is a directory, a file is expected",
    ENOTDIR: "a part of the path is no directory",
  };
  const text =
    words[code] ?? (error instanceof Error ? error.message : String(error));
  return new InputError(text, {
    code: "input-unreadable",
    file: path,
    cause: error,
  });
}

export interface OutputFile {
  /** Relative to the directory. */
  readonly path: string;
  readonly content: Uint8Array | string;
  readonly executable?: true;
}

/**
 * Refuses an existing target unless forced; call before the long work starts.
 * `foreign` says of a folder why it is not ours to replace.
 */
export function checkTarget(
  directory: string,
  force: boolean,
  foreign: (directory: string) => string | undefined = withoutPlan,
): void {
  checkParent(directory);
  if (!existsSync(directory)) return;
  if (!force)
    throw new InputError(`${directory} exists`, {
      code: "output-exists",
      kind: "usage",
      fix: "--force replaces it",
    });
  const reason = statSync(directory).isDirectory()
    ? foreign(directory)
    : "it is no folder";
  if (reason !== undefined)
    throw new InputError(
      `${directory} was not written by divisi (${reason}): not replaced`,
      { code: "output-foreign", kind: "usage" },
    );
}

/** Of what split writes. */
function withoutPlan(directory: string): string | undefined {
  return readdirSync(directory).length === 0 ||
    existsSync(join(directory, "plan.json"))
    ? undefined
    : "it has no plan.json";
}

/** Something is about to be created beside `path`: can it be? */
function checkParent(path: string): void {
  const parent = dirname(resolve(path));
  if (!existsSync(parent))
    throw new InputError(`the folder ${parent} does not exist`, {
      code: "output-parent",
      kind: "usage",
    });
  try {
    accessSync(parent, constants.W_OK);
  } catch (error) {
    throw fileError(error, parent);
  }
}

export interface StagedFile {
  /** What to write to. */
  readonly temporary: string;
  /** It is whole: puts it in its place. */
  readonly keep: () => void;
  readonly discard: () => void;
}

/**
 * Where a file is written and what it is renamed to when it is whole. A device
 * or a pipe is never replaced: undefined, it is written to as it is.
 */
export function staged(path: string): StagedFile | undefined {
  const exists = existsSync(path);
  if (exists && !statSync(path).isFile()) return undefined;
  const target = exists ? realpathSync(path) : resolve(path);
  checkParent(target);
  const temporary = `${target}.partial`;
  begin(temporary);
  return {
    temporary,
    keep: () => {
      renameSync(temporary, target);
      finish(temporary);
    },
    discard: () => {
      rmSync(temporary, { force: true });
      finish(temporary);
    },
  };
}

/** Writes all files to a sibling folder, then puts it in place of `directory`. */
export function writeDirectory(
  directory: string,
  files: readonly OutputFile[],
): void {
  const target = resolve(directory);
  let temporary: string | undefined;
  try {
    temporary = mkdtempSync(join(dirname(target), `.${basename(target)}-`));
    begin(temporary);
    chmodSync(temporary, 0o755);
    for (const file of files) {
      const path = join(temporary, file.path);
      mkdirSync(dirname(path), { recursive: true });
      writeFileSync(path, file.content);
      if (file.executable === true) chmodSync(path, 0o755);
    }
    if (existsSync(target)) {
      const old = `${temporary}-old`;
      renameSync(target, old);
      renameSync(temporary, target);
      rmSync(old, { recursive: true, force: true });
    } else renameSync(temporary, target);
  } catch (error) {
    if (temporary !== undefined)
      rmSync(temporary, { recursive: true, force: true });
    throw fileError(error, directory);
  } finally {
    if (temporary !== undefined) finish(temporary);
  }
}

/** Writes one file to a sibling and renames it: a failure leaves what was there. */
export function writeWhole(path: string, content: Uint8Array | string): void {
  const place = staged(path);
  try {
    writeFileSync(place?.temporary ?? path, content);
    place?.keep();
  } catch (error) {
    place?.discard();
    throw fileError(error, path);
  }
}

export function sha256(content: Uint8Array | string): string {
  return createHash("sha256").update(content).digest("hex");
}
