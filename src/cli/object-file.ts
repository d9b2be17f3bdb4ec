/**
 * PROG as bytes of an object: `x.o` as it is, `x.c` through clang with the flags
 * below, `x.ts` through our own compiler. What a source was made of is kept for
 * plan.json.
 */
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join, normalize } from "node:path";
import { InputError, UnsupportedError } from "../base/index.ts";
import type { MapContents } from "../proof/index.ts";
import { codeFrame } from "./code-frame.ts";
import type { Words } from "./command.ts";
import { readInput, sha256 } from "./files.ts";
import { say } from "./render.ts";
import { isSet, pairsOf, usage } from "./words.ts";

/** An object, wherever it came from. */
export interface ObjectFile {
  /** As the user named it: for messages and plan.json. */
  readonly path: string;
  readonly bytes: Uint8Array;
  /** `--set` of variables of the object; a compiler has taken its own away. */
  readonly set: readonly (readonly [string, string])[];
  /** What maps hold at first, where the source says so. */
  readonly contents?: MapContents;
  /** SHA-256 of the texts that it was compiled from, the named one first. */
  readonly sources?: readonly {
    readonly file: string;
    readonly sha256: string;
  }[];
}

// prettier-ignore
const clangFlags = ["-O2", "-g", "-target", "bpf", "-mcpu=v3", "-D__x86_64__", "-Wall", "-c"];

/** The object that the word PROG names. */
export async function objectFile(
  path: string,
  words: Words,
): Promise<ObjectFile> {
  const set = pairsOf(words, "set");
  if (path.endsWith(".ts")) return compileTypescript(path, words);
  if (path.endsWith(".c")) return { path, bytes: compileC(path), set };
  return { path, bytes: readInput(path), set };
}

/** Imports are read as the compiler asks for them. */
async function compileTypescript(
  given: string,
  words: Words,
): Promise<ObjectFile> {
  // Imports of ./x.ts are named without the dot, and so is it.
  const path = normalize(given);
  for (const flag of ["entry", "type"])
    if (isSet(words, flag))
      throw usage(
        `--${flag} is for an object: ${path} has one function, for XDP`,
      );
  // Only who compiles pays for the compiler.
  const { compileNf } = await import("../compile.ts");
  // What cannot be read is said as of any other file.
  const texts = new Map([[path, readText(path)]]);
  const compiled = await compileNf({
    path,
    read: (name) => {
      const known = texts.get(name);
      if (known !== undefined) return known;
      const text = existsSync(name) ? readText(name) : undefined;
      if (text !== undefined) texts.set(name, text);
      return text;
    },
    set: pairsOf(words, "set"),
  });
  if (compiled.kind === "refused") {
    const { diagnostics } = compiled;
    const errors = diagnostics.filter(({ severity }) => severity === "error");
    throw new InputError(
      `${errors.length} error${errors.length === 1 ? "" : "s"}: not compiled`,
      { code: "ts-does-not-compile", file: path, diagnostics },
    );
  }
  for (const warning of compiled.warnings) say(`${codeFrame(warning)}\n`);
  return {
    path,
    bytes: compiled.bytes,
    set: [],
    contents: compiled.contents,
    sources: compiled.files.map((file) => ({
      file,
      sha256: sha256(texts.get(file) ?? ""),
    })),
  };
}

function readText(path: string): string {
  return new TextDecoder().decode(readInput(path));
}

function compileC(path: string): Uint8Array {
  readInput(path);
  const folder = mkdtempSync(join(tmpdir(), "divisi-clang-"));
  try {
    const output = join(folder, `${basename(path, ".c")}.o`);
    const run = spawnSync("clang", [...clangFlags, path, "-o", output], {
      encoding: "utf8",
    });
    if (run.error !== undefined)
      throw new UnsupportedError(
        "clang is needed to compile C and was not found",
        {
          feature: "clang",
          fix: "install the package clang (Debian: apt-get install clang libbpf-dev), or give the compiled object",
        },
      );
    if (run.status !== 0) {
      const line = /:(\d+):\d+: (?:fatal )?error: (.*)/.exec(run.stderr);
      throw new InputError(
        `clang: ${line?.[2] ?? run.stderr.trim().split("\n")[0] ?? "failed"}`,
        {
          code: "c-does-not-compile",
          file: path,
          ...(line === null ? {} : { line: Number(line[1]) }),
        },
      );
    }
    return new Uint8Array(readFileSync(output));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
