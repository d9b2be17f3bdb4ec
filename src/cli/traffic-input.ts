/**
 * `--trace`: captures, generators, one file per port, `--inside PREFIX`; read as
 * one trace with port indices. `gen:coverage` is not handled here: only the
 * pipeline knows the program that it should cover.
 */
import { createReadStream, statSync } from "node:fs";
import process from "node:process";
import type { StateReport } from "../analysis/index.ts";
import { InputError, nearest } from "../base/index.ts";
import { parsePrefix } from "../packet/index.ts";
import {
  generate,
  mergeByPort,
  parseGenerator,
  portsByPrefix,
  readCapture,
  type CaptureOptions,
  type Trace,
} from "../traffic/index.ts";
import type { Words } from "./command.ts";
import { fileError } from "./files.ts";
import { seedOf, usage, valueOf, valuesOf } from "./words.ts";

/** Of traffic that nobody asked for: coverage, answers and full tables say more. */
const unaskedPackets = 50_000;
/** EtherTypes. */
const [ipv4, ipv6] = [0x0800, 0x86dd];

/** What `--trace` said, ready to be read (more than once, unless it is `-`). */
export interface TrafficInput {
  /** As given, for plan.json. */
  readonly words: readonly string[];
  /** The program's own coverage packets are all that was asked for. */
  readonly coverageOnly: boolean;
  readonly read: () => Trace;
}

/**
 * `portNames`: what `--trace NAME=FILE` may name, by port index; `report`: of the
 * program, for which traffic is made where none is given.
 */
export function trafficInput(
  words: Words,
  portNames: readonly string[],
  report?: Pick<StateReport, "objects">,
): TrafficInput {
  const given = valuesOf(words, "trace");
  const chosen =
    given.length > 0
      ? given
      : [
          `gen:${portNames.length > 1 ? "bidirectional" : "zipf"},packets=${unaskedPackets}${report === undefined ? "" : framesOf(report)}`,
        ];
  return trafficFrom(chosen, words, portNames);
}

/** Frames that get to the program's state: IPv6 and tags where its tests name them. */
function framesOf({ objects }: Pick<StateReport, "objects">): string {
  const guards = objects.flatMap(({ accesses }) =>
    accesses.map(({ guard }) => guard),
  );
  const names = (type: number): boolean =>
    guards.some(({ etherTypes = [] }) => etherTypes.includes(type));
  const isTagged = guards.some(({ tags = 0 }) => tags > 0);
  return [
    names(ipv6) ? `,v6=${names(ipv4) ? 0.5 : 1}` : "",
    isTagged ? ",vlan=0.5" : "",
  ].join("");
}

/** The same for words that do not come from `--trace`. */
export function trafficFrom(
  chosen: readonly string[],
  words: Words,
  portNames: readonly string[],
): TrafficInput {
  const seed = seedOf(words);
  const named = chosen.map((word) => splitPort(word, portNames));
  if (named.length > 1 && named.some(({ port }) => port === undefined))
    throw usage(
      "several --trace need a port each: --trace NAME=FILE",
      portNames.length === 0
        ? "bind names with --port NAME=IFINDEX"
        : `ports: ${portNames.join(", ")}`,
    );
  const coverageOnly =
    named.length === 1 && /^gen:coverage\b/.test(named[0]?.path ?? "");
  // Bad words are told before any work starts.
  const sources = named.map(({ path }) =>
    coverageOnly ? () => [] : source(path, seed),
  );
  const inside = valueOf(words, "inside");
  const prefix = inside === undefined ? undefined : parsePrefix(inside);
  return {
    words: chosen,
    coverageOnly,
    read: () => {
      const traces = sources.map((open) => open());
      const [only] = traces;
      const merged =
        named.length === 1 && named[0]?.port === undefined
          ? (only ?? [])
          : mergeByPort(ordered(traces, named));
      return prefix === undefined
        ? merged
        : portsByPrefix(merged, prefix, { inside: 0, outside: 1 });
    },
  };
}

interface Named {
  readonly path: string;
  readonly port: number | undefined;
}

function splitPort(word: string, portNames: readonly string[]): Named {
  const match = /^([A-Za-z][\w-]*)=(.+)$/.exec(word);
  if (match === null || word.startsWith("gen:"))
    return { path: word, port: undefined };
  const [, name = "", path = ""] = match;
  const port = portNames.indexOf(name);
  if (port < 0) {
    const near = nearest(name, portNames);
    throw usage(
      `--trace ${word}: no port is called ${name}`,
      near === undefined
        ? "bind it with --port NAME=IFINDEX"
        : `did you mean ${near}?`,
    );
  }
  return { path, port };
}

/** Trace i must give port i; ports without a trace are empty. */
function ordered(traces: readonly Trace[], named: readonly Named[]): Trace[] {
  const result: Trace[] = [];
  for (const [index, { port }] of named.entries())
    result[port ?? 0] = traces[index] ?? [];
  return Array.from(result, (trace) => trace ?? []);
}

function source(path: string, seed: number): () => Trace {
  if (path.startsWith("gen:")) {
    const model = parseGenerator(path);
    const seeded = /[,:]seed=/.test(path) ? model : { ...model, seed };
    return () => generate(seeded);
  }
  return () => readCaptureFile(path);
}

/** A capture file or `-`, streamed. */
export function readCaptureFile(path: string, options?: CaptureOptions): Trace {
  return readCapture(chunksOf(path), path, options);
}

async function* chunksOf(path: string): AsyncGenerator<Uint8Array> {
  try {
    if (path !== "-" && statSync(path).isDirectory())
      throw new InputError("is a directory, a capture is expected", {
        code: "input-directory",
        file: path,
      });
    const stream =
      path === "-"
        ? process.stdin
        : createReadStream(path, { highWaterMark: 1 << 20 });
    for await (const chunk of stream) yield chunk as Uint8Array;
  } catch (error) {
    throw error instanceof InputError ? error : fileError(error, path);
  }
}
