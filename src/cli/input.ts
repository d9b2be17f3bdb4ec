/**
 * PROG and what is said of it: from words to values. Its bytes come from
 * object-file.ts, which may have to compile them first.
 */
import { availableParallelism } from "node:os";
import process from "node:process";
import { nearest } from "../base/index.ts";
import { kernelBtf, kernelConfigValue, possibleCpus } from "../host/index.ts";
import type { ProgramSpec } from "../isa/index.ts";
import {
  analyseLoaded,
  load,
  type Analysed,
  type LoadOptions,
  type Loaded,
} from "../analysed.ts";
import type { MapContents } from "../proof/index.ts";
import { nicProfile, parseNicProfile, type NicProfile } from "../rss/index.ts";
import type { Port } from "../strategy/index.ts";
import type { Words } from "./command.ts";
import { inFile, mapSizesOf } from "./edited-object.ts";
import { readInput } from "./files.ts";
import { parseMapsFile, printMapsFile } from "./maps-file.ts";
import type { ObjectFile } from "./object-file.ts";
import { pairsOf, usage, valueOf, valuesOf } from "./words.ts";

/** Loads a program of the object, with `--set`, `--port`, `--entry`, `--type`. */
export function loadProgram(file: ObjectFile, words: Words): Loaded {
  return inFile(file.path, () => load(file.bytes, loadOptions(file, words)));
}

/** The same, analysed; ports are bound. */
export function loadAnalysed(file: ObjectFile, words: Words): Analysed {
  const options = loadOptions(file, words);
  return inFile(file.path, () => {
    const loaded = load(file.bytes, options);
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

function loadOptions({ path, set }: ObjectFile, words: Words): LoadOptions {
  const entry = valueOf(words, "entry");
  const type = valueOf(words, "type");
  return {
    file: path,
    ...(entry === undefined ? {} : { entry }),
    ...(type === undefined ? {} : { type }),
    set,
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

/** `--nic`: a shipped profile, or a JSON file. */
export function profileOf(words: Words): NicProfile {
  const word = valueOf(words, "nic") ?? "generic";
  return word.endsWith(".json")
    ? parseNicProfile(new TextDecoder().decode(readInput(word)), word)
    : nicProfile(word);
}

/** `--maps`, for that program, over what its source declares to be there. */
export function contentsOf(
  words: Words,
  program: ProgramSpec,
  declared: MapContents = {},
): { contents: MapContents; text: string } | undefined {
  const path = valueOf(words, "maps");
  const isDeclared = Object.keys(declared).length > 0;
  if (path === undefined)
    return isDeclared
      ? { contents: declared, text: printMapsFile(declared) }
      : undefined;
  const text = new TextDecoder().decode(readInput(path));
  const given = parseMapsFile(text, path, program.maps);
  if (!isDeclared) return { contents: given, text };
  const contents = { ...declared, ...given };
  return { contents, text: printMapsFile(contents) };
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
