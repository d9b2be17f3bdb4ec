/**
 * PROG as bytes of an object: `x.o` as it is, `x.c` through clang with the flags
 * below, `x.ts` through our own compiler. What a source was made of is kept for
 * plan.json.
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { InputError, UnsupportedError } from "../base/index.ts";
import type { Words } from "./command.ts";
import { readInput } from "./files.ts";
import { pairsOf } from "./words.ts";

/** An object, wherever it came from. */
export interface ObjectFile {
  /** As the user named it: for messages and plan.json. */
  readonly path: string;
  readonly bytes: Uint8Array;
  /** `--set` of variables of the object; a compiler has taken its own away. */
  readonly set: readonly (readonly [string, string])[];
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
  if (path.endsWith(".ts"))
    throw new UnsupportedError(
      `${path}: network functions in TypeScript cannot be read yet`,
      {
        feature: "TypeScript front end",
        fix: "give a BPF object (x.o) or C source (x.c)",
      },
    );
  if (path.endsWith(".c")) return { path, bytes: compileC(path), set };
  return { path, bytes: readInput(path), set };
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
