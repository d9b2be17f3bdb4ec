/**
 * PROG and TRACE arguments: from words to values.
 *
 * PROG is `x.o`, or `x.c`, which clang compiles with the flags below. A `.ts`
 * network function is refused until there is a front end for it.
 */
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { basename, join } from "node:path";
import process from "node:process";
import { InputError, nearest, UnsupportedError } from "../base/index.ts";
import { kernelConfigValue, possibleCpus } from "../engine/index.ts";
import type { ProgramSpec } from "../isa/index.ts";
import {
  readObject,
  resizeMap,
  setVariable,
  type ObjectSpec,
} from "../object/index.ts";
import {
  analyseLoaded,
  load,
  type Analysed,
  type LoadOptions,
  type Loaded,
} from "../pipeline.ts";
import type { MapContents } from "../proof/index.ts";
import { nicProfile, parseNicProfile, type NicProfile } from "../rss/index.ts";
import type { Port } from "../strategy/index.ts";
import type { Words } from "./command.ts";
import { readInput } from "./files.ts";
import { parseMapsFile } from "./maps-file.ts";
import { pairsOf, usage, valueOf, valuesOf } from "./words.ts";

// prettier-ignore
const clangFlags = ["-O2", "-g", "-target", "bpf", "-mcpu=v3", "-D__x86_64__", "-Wall", "-c"];

/** Loads the program that the words name, with `--set`, `--port`, `--entry`, `--type`. */
export function loadProgram(path: string, words: Words): Loaded {
  const bytes = objectBytes(path);
  return inFile(path, () => load(bytes, loadOptions(path, words)));
}

/** The same, analysed; ports are bound. */
export function loadAnalysed(path: string, words: Words): Analysed {
  const bytes = objectBytes(path);
  const options = loadOptions(path, words);
  return inFile(path, () => {
    const loaded = load(bytes, options);
    for (const name of options.userWrites)
      mustBeMap("--user-writes", name, loaded.program);
    return analyseLoaded(loaded, options);
  });
}

/** A misspelt map must not pass as nothing said. */
export function mustBeMap(
  flag: string,
  name: string,
  program: ProgramSpec,
): void {
  const maps = program.maps.map((map) => map.name);
  if (maps.includes(name)) return;
  const near = nearest(name, maps);
  throw usage(
    `${flag}: the program has no map ${name}`,
    near === undefined
      ? `it has ${maps.join(", ") || "none"}`
      : `did you mean ${near}?`,
  );
}

function loadOptions(path: string, words: Words): LoadOptions {
  const entry = valueOf(words, "entry");
  const type = valueOf(words, "type");
  return {
    file: path,
    ...(entry === undefined ? {} : { entry }),
    ...(type === undefined ? {} : { type }),
    set: pairsOf(words, "set"),
    ports: portsOf(words),
    userWrites: valuesOf(words, "user-writes"),
    mapSizes: mapSizesOf(words),
    ...runningKernel,
  };
}

/** What is taken from the running kernel, where there is one. */
export const runningKernel = {
  kernelBtf,
  kernelConfig: kernelConfigValue,
  unsized: cpuCount(),
} as const;

function cpuCount(): number {
  return process.platform === "linux" ? possibleCpus() : availableParallelism();
}

/** `--map-size`: entries by name. */
function mapSizesOf(words: Words): readonly (readonly [string, number])[] {
  return pairsOf(words, "map-size").map(([name, value]) => {
    const entries = Number(value);
    if (!/^\d+$/.test(value) || entries < 1 || entries > 0xffff_ffff)
      throw usage(
        `--map-size ${name}: a number of entries is expected, not ${value}`,
      );
    return [name, entries] as const;
  });
}

/** `--nic`: a shipped profile, or a JSON file. */
export function profileOf(words: Words): NicProfile {
  const word = valueOf(words, "nic") ?? "generic";
  return word.endsWith(".json")
    ? parseNicProfile(new TextDecoder().decode(readInput(word)), word)
    : nicProfile(word);
}

/** The object as it stands, with `--set`; no program is chosen. */
export function loadObject(path: string, words: Words): ObjectSpec {
  const bytes = objectBytes(path);
  return inFile(path, () => {
    let object = readObject(bytes, path);
    for (const [name, value] of pairsOf(words, "set"))
      object = setVariable(object, name, value);
    for (const [name, entries] of mapSizesOf(words))
      object = resizeMap(object, name, entries);
    return object;
  });
}

/** `--maps`, for that program. */
export function contentsOf(
  words: Words,
  program: ProgramSpec,
): { contents: MapContents; text: string } | undefined {
  const path = valueOf(words, "maps");
  if (path === undefined) return undefined;
  const text = new TextDecoder().decode(readInput(path));
  return { contents: parseMapsFile(text, path, program.maps), text };
}

function inFile<T>(path: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw error instanceof InputError && error.kind === "input"
      ? error.inFile(path)
      : error;
  }
}

function objectBytes(path: string): Uint8Array {
  if (path.endsWith(".ts"))
    throw new UnsupportedError(
      `${path}: network functions in TypeScript cannot be read yet`,
      {
        feature: "TypeScript front end",
        fix: "give a BPF object (x.o) or C source (x.c)",
      },
    );
  return path.endsWith(".c") ? compile(path) : readInput(path);
}

function compile(path: string): Uint8Array {
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

/** BTF of the running kernel, for CO-RE; undefined where it cannot be read. */
function kernelBtf(): Uint8Array | undefined {
  const path = "/sys/kernel/btf/vmlinux";
  try {
    return existsSync(path) ? new Uint8Array(readFileSync(path)) : undefined;
  } catch {
    return undefined;
  }
}

/** `--port lan=3`, in the order given. */
export function portsOf(words: Words): readonly Port[] {
  const ports = pairsOf(words, "port").map(([name, value]) => {
    if (!/^[a-z][a-z0-9_-]*$/i.test(name))
      throw usage(`--port: ${name} is no name for a port`);
    if (
      !/^\d+$/.test(value) ||
      Number(value) < 1 ||
      Number(value) > 0x7fff_ffff
    )
      throw usage(
        `--port ${name}: an interface index is expected, not ${value}`,
        "ip -o link shows them",
      );
    return { name, ifindex: Number(value) };
  });
  for (const [index, port] of ports.entries())
    for (const other of ports.slice(0, index)) {
      if (other.name === port.name)
        throw usage(`--port ${port.name} is given twice`);
      if (other.ifindex === port.ifindex)
        throw usage(`ports ${other.name} and ${port.name} have one index`);
    }
  return ports;
}
