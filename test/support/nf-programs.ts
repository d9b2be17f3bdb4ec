/**
 * Network functions as text, for tests: compiled to the intermediate
 * representation, and imported as the plain JavaScript that they are.
 *
 * `disagreement` runs both on the same frames and says where they first differ:
 * in verdict, bytes, events or the contents of a map. The interpreters' clock runs:
 * a program that reads it twice for one packet sees two times.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Random, toHex } from "#base";
import { lowerProgram } from "#codegen";
import { loadPortable } from "#engine";
import {
  BytecodeMachine,
  IrMachine,
  createState,
  packetRandom,
  type MapEntry,
  type Outcome,
  type PacketInput,
} from "#interp";
import type { IrProgram } from "#ir";
import type { ProgramSpec } from "#isa";
import { checkNf, loadNf, lowerNf, type LoweredNf } from "#nf";
import { buildFrame, type FrameSpec } from "#packet";
import * as library from "divisi/nf";
import ts from "typescript-api";
import { root } from "./cli.ts";

export interface NfProgram {
  readonly lowered: LoweredNf;
  /** What its file exports, as plain JavaScript. */
  readonly nf: library.AnyNf;
}

/** The checker's errors, by line. */
export class NfRefused extends Error {
  readonly lines: readonly number[];

  constructor(lines: readonly number[], message: string) {
    super(message);
    this.lines = lines;
  }
}

/** Several files by name; the first is the network function. */
export async function compileText(
  files: Readonly<Record<string, string>> | string,
): Promise<NfProgram> {
  const sources = typeof files === "string" ? { "nf.ts": files } : files;
  const [first = "nf.ts"] = Object.keys(sources);
  const folder = join(root, "nfs/ts/virtual");
  const loaded = await loadNf(
    {
      path: join(folder, first),
      read: (path) => {
        const name = path.startsWith(`${folder}/`)
          ? path.slice(folder.length + 1)
          : undefined;
        if (name !== undefined) return sources[name];
        try {
          return readFileSync(path, "utf8");
        } catch {
          return undefined;
        }
      },
    },
    { library },
  );
  const { diagnostics, facts } = checkNf(loaded);
  const said = diagnostics.filter((one) => one.severity === "error");
  if (loaded.kind === "failed" || said.length > 0)
    throw new NfRefused(
      said.map((one) => one.start.line),
      said
        .map(
          (one) =>
            `${one.start.line}:${one.start.column} ${one.message}\n${one.text}`,
        )
        .join("\n"),
    );
  return {
    lowered: lowerNf(loaded.nf, facts),
    nf: await importText(sources, first),
  };
}

async function importText(
  sources: Readonly<Record<string, string>>,
  name: string,
): Promise<library.AnyNf> {
  const module: unknown = await import(await dataUrl(sources, name));
  if (typeof module !== "object" || module === null || !("default" in module))
    throw new Error(`${name} exports nothing`);
  return module.default as library.AnyNf;
}

async function dataUrl(
  sources: Readonly<Record<string, string>>,
  name: string,
): Promise<string> {
  const { outputText } = ts.transpileModule(sources[name] ?? "", {
    compilerOptions: {
      module: ts.ModuleKind.ESNext,
      target: ts.ScriptTarget.ES2022,
      verbatimModuleSyntax: true,
    },
  });
  let text = outputText.replaceAll(
    '"divisi/nf"',
    JSON.stringify(import.meta.resolve("divisi/nf")),
  );
  for (const [, other = ""] of outputText.matchAll(/from "\.\/(.+?)"/g))
    text = text.replaceAll(
      `"./${other}"`,
      JSON.stringify(await dataUrl(sources, other)),
    );
  return `data:text/javascript;base64,${Buffer.from(text).toString("base64")}`;
}

export interface Trial {
  readonly seed: number;
  readonly packets: number;
  /** Frames; default `randomFrame`. */
  readonly frame?: (random: Random) => Uint8Array;
  /** Maps are compared behind every so many packets, and in the end. Default 1. */
  readonly every?: number;
  /** Default `ir`: the interpreter of the intermediate representation. */
  readonly engine?: EngineName;
}

/** Something that runs the lowered program. */
interface Runs {
  readonly run: (input: PacketInput) => Outcome;
  readonly load: (map: string, entries: readonly MapEntry[]) => void;
  readonly entries: (map: string) => readonly MapEntry[];
}

export type EngineName = "ir" | "bytecode" | "portable";

const engines: Readonly<Record<EngineName, (program: IrProgram) => Runs>> = {
  ir: (program) => {
    const state = createState(program.maps);
    const machine = new IrMachine(program, state);
    return {
      run: (input) => machine.run(input),
      load: (map, entries) => {
        state.load(map, entries);
      },
      entries: (map) => state.entries(map),
    };
  },
  bytecode: (program) => {
    const state = createState(program.maps);
    const machine = new BytecodeMachine(specOf(program), state);
    return {
      run: (input) => machine.run(input),
      load: (map, entries) => {
        state.load(map, entries);
      },
      entries: (map) => state.entries(map),
    };
  },
  portable: (program) => {
    const loaded = loadPortable(specOf(program), {});
    return {
      run: (input) => {
        const [outcome] = loaded.run([input]);
        if (outcome === undefined) throw new Error("no outcome");
        return outcome;
      },
      load: (map, entries) => {
        loaded.load(map, entries);
      },
      entries: (map) => loaded.entries(map),
    };
  },
};

function specOf(program: IrProgram): ProgramSpec {
  const { name, file, type, maps } = program;
  const functions = lowerProgram(program);
  return { name, file, type, section: "xdp", license: "GPL", functions, maps };
}

/** The first difference between plain JavaScript and a machine; undefined: none. */
export function disagreement(
  { lowered, nf }: NfProgram,
  trial: Trial,
  program: IrProgram = lowered.program,
): string | undefined {
  const random = new Random(trial.seed);
  const machine = engines[trial.engine ?? "ir"](program);
  const plain = library.open(nf);
  for (const [name, entries] of Object.entries({
    ...devices(nf),
    ...plain.contents(),
  }))
    machine.load(name, entries);
  const frameOf = trial.frame ?? randomFrame;
  let now = 1_000_000_000n;
  for (let at = 0; at < trial.packets; at++) {
    const data = frameOf(random);
    now += BigInt(random.below(2_000_000_000));
    const port = nf.ports.length === 0 ? 0 : random.below(nf.ports.length);
    const time = now;
    let reads = 0;
    const input = {
      data,
      ifindex: port + 1,
      rxQueue: 0,
      cpu: 0,
      // The frame's stamp and the program's first reading are this packet's time.
      get time() {
        return time + (reads++ < 2 ? 0n : 1_000_000_007n);
      },
      random: random.u32(),
    };
    const draws = packetRandom(0, input);
    const want = attempt(() =>
      plain.packet(data, { port, now, random: () => draws.u32() }),
    );
    const got = machine.run(input);
    const where = `seed ${trial.seed} packet ${at} port ${port} time ${now} ${toHex(data)}`;
    if (want instanceof Error)
      return `${where}: JavaScript threw ${want.stack}`;
    if (got.fault !== undefined)
      return `${where}: fault ${got.fault.text} at ${JSON.stringify(got.fault.at)}`;
    const verdicts = [verdictText(want.verdict), outcomeText(got)];
    if (verdicts[0] !== verdicts[1])
      return `${where}: verdict ${verdicts.join(" and ")}`;
    if (toHex(want.frame) !== toHex(got.data))
      return `${where}: frame\n${toHex(want.frame)}\n${toHex(got.data)}`;
    const events = [
      want.events.map(({ ring, value }) => {
        const declaration = library
          .partsOf(plain.state)
          .find((part) => part.name === ring)?.declaration;
        if (declaration?.kind !== "ring") return ring;
        return `${ring} ${toHex(library.bytesOf(declaration.value, value as never))}`;
      }),
      got.events.map(({ map, data }) => `${map ?? ""} ${toHex(data)}`),
    ].map((list) => list.join("\n"));
    if (events[0] !== events[1])
      return `${where}: events\n${events.join("\n")}`;
    const isLast = at === trial.packets - 1;
    const contents =
      isLast || (at + 1) % (trial.every ?? 1) === 0
        ? contentsDifference(plain.contents(), machine.entries)
        : undefined;
    if (contents !== undefined) return `${where}: ${contents}`;
  }
  return undefined;
}

function attempt<T>(run: () => T): T | Error {
  try {
    return run();
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error));
  }
}

function devices(
  nf: library.AnyNf,
): Record<string, { key: Uint8Array; value: Uint8Array }[]> {
  if (nf.ports.length === 0) return {};
  return {
    ports: nf.ports.map((_, index) => ({
      key: Uint8Array.of(index, 0, 0, 0),
      value: Uint8Array.of(index + 1, 0, 0, 0),
    })),
  };
}

function contentsDifference(
  want: ReturnType<library.Instance<library.Config, library.State>["contents"]>,
  entriesOf: (map: string) => readonly MapEntry[],
): string | undefined {
  for (const [name, entries] of Object.entries(want)) {
    const wanted = entries.map(entryText).sort();
    const got = entriesOf(name).map(entryText).sort();
    const at = wanted.findIndex((text, index) => text !== got[index]);
    if (at >= 0 || wanted.length !== got.length)
      return `map ${name}\n${wanted[at] ?? "nothing"}\n${got[at] ?? "nothing"}`;
  }
  return undefined;
}

function entryText(entry: { key: Uint8Array; value: Uint8Array }): string {
  return `${toHex(entry.key)} ${toHex(entry.value)}`;
}

function verdictText(verdict: library.Verdict): string {
  switch (verdict.kind) {
    case "out":
      return `out ${verdict.port}`;
    case "redirect":
      return `redirect ${verdict.ifindex}`;
    case "pass":
    case "drop":
    case "tx":
    case "aborted":
    case "flood":
      return verdict.kind;
  }
}

function outcomeText(got: Outcome): string {
  const { verdict, redirect } = got;
  if (verdict !== 4)
    return ["aborted", "drop", "pass", "tx"][verdict] ?? String(verdict);
  if (redirect?.map === undefined) return `redirect ${redirect?.ifindex}`;
  return redirect.flags === 24n ? "flood" : `out ${redirect.key}`;
}

/** Everything a parser must expect: whole packets, cut ones, and noise. */
export function randomFrame(random: Random): Uint8Array {
  const kind = random.below(10);
  if (kind === 0) return random.bytes(14 + random.below(80));
  const frame = buildFrame(randomSpec(random)).slice();
  for (let changes = random.below(3); changes > 0; changes--)
    if (random.chance(0.3))
      frame[random.below(Math.min(60, frame.length))] = random.u32();
  return kind === 1
    ? frame.slice(0, 14 + random.below(frame.length - 13))
    : frame;
}

function randomSpec(random: Random): FrameSpec {
  const address = (): string => `10.0.0.${random.below(4)}`;
  const transport = random.pick([
    { tcp: { sport: random.below(4), dport: random.below(4), flags: 2 } },
    { udp: { sport: random.below(4), dport: random.below(4) } },
    {
      udp: {
        sport: random.below(4),
        dport: random.below(4),
        checksum: "none" as const,
      },
    },
    { icmp: { type: 8 } },
  ]);
  const ip = random.chance(0.85)
    ? {
        ipv4: {
          src: address(),
          dst: address(),
          ttl: random.below(256),
          ...(random.chance(0.2)
            ? { options: random.bytes(4 * random.below(10)) }
            : {}),
          ...(random.chance(0.1) ? { moreFragments: true } : {}),
          ...(random.chance(0.1) ? { fragmentOffset: random.below(3) } : {}),
        },
      }
    : { ipv6: { src: "fd00::1", dst: `fd00::${random.below(4)}` } };
  return {
    ...(random.chance(0.1) ? { vlans: [random.below(4096)] } : {}),
    ...ip,
    ...transport,
    payload: random.bytes(random.below(40)),
  };
}
