/**
 * A network function behind its own dispatcher in the kernel: real frames over veth,
 * workers of a cpumap on several CPUs, each frame compared with the sequential program
 * in the portable engine in the order of arrival: where it went, and its bytes there.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import {
  analyseLoaded,
  dispatchContents,
  dispatcherOf,
  evenTable,
  generate,
  load,
  queueSize,
} from "divisi";
import { dispatchCpus } from "#codegen";
import {
  loadPortable,
  runThroughCpumap,
  type CpumapFate,
  type CpumapRunResult,
  type Kernel,
} from "#engine";
import type { Outcome, PacketInput } from "#interp";
import type { ProgramSpec } from "#isa";
import { readObject } from "#object";
import { parseFrame, readField, refreshChecksums, setField } from "#packet";
import { deviceContents } from "#proof";
import { nicProfile } from "#rss";
import { portOfTrace } from "#strategy";
import type { TracePacket } from "#traffic";
import { root } from "./cli.ts";

export interface CpumapTrial {
  /** From the root. */
  readonly object: string;
  readonly trace: readonly TracePacket[];
  readonly cores: number;
  readonly set?: readonly (readonly [string, string])[];
  readonly seed?: number;
  /** Put into the emitted programs, to be caught. */
  readonly spoil?: (programs: Programs) => Programs;
  readonly table?: readonly number[];
  /** Answer what was sent on this port: so many frames, addresses and ports swapped. */
  readonly answer?: { readonly port: number; readonly frames: number };
  readonly queue?: number;
  /** Sees the maps at the end. */
  readonly look?: (loaded: CpumapRunResult["loaded"]) => void;
  readonly onProgress?: (done: number, total: number) => void;
}

export interface Programs {
  readonly dispatcher: ProgramSpec;
  readonly worker: ProgramSpec;
}

export interface CpumapVerdict {
  readonly packets: number;
  readonly mismatches: number;
  /** The first few, in words. */
  readonly first: readonly string[];
  readonly lost: number;
  readonly strays: number;
  readonly perCpu: readonly number[];
  /** Places: `wire 1`, `stack 0`, or nothing, with how many frames went there. */
  readonly places: Readonly<Record<string, number>>;
  readonly seconds: number;
}

const firstIndex = 3;

export async function tryCpumap(
  kernel: Kernel,
  trial: CpumapTrial,
): Promise<CpumapVerdict> {
  const { cores, trace, seed = 1 } = trial;
  const bytes = readFileSync(join(root, trial.object));
  const names = load(bytes, optionsOf(trial, []));
  const named = analyseLoaded(names, optionsOf(trial, [])).ports;
  const ports = named.map(({ name }, at) => ({
    name,
    ifindex: firstIndex + at,
  }));
  const options = optionsOf(trial, ports);
  const analysed = analyseLoaded(load(bytes, options), options);
  const artifact = generate(analysed, nicProfile("generic"), {
    cores,
    ports,
    seed,
    dispatch: "software",
  });
  if (artifact.plan.dispatch.kind !== "software")
    throw new Error(`${trial.object}: ${artifact.plan.fallback ?? "no owner"}`);
  const object = readObject(artifact.bytes, "core.o");
  const dispatcher = dispatcherOf(object);
  if (dispatcher === undefined) throw new Error("no dispatcher");
  const programs = (trial.spoil ?? ((same: Programs) => same))({
    dispatcher,
    worker: artifact.emitted,
  });
  const indexOf = portOfTrace(ports);
  const frames = trace.map(({ data, port }) => ({ data, port: indexOf(port) }));
  const devices = deviceContents(
    analysed.program,
    ports.map(({ ifindex }) => ifindex),
  );
  const { [dispatchCpus]: _, ...filled } = dispatchContents(
    dispatcher,
    trial.table ?? evenTable(cores),
  );
  const { answer } = trial;
  const answers: { data: Uint8Array; port: number }[] = [];
  /** Of which frames. */
  const answered: number[] = [];
  return runThroughCpumap(
    kernel,
    {
      ...programs,
      ...(object.btf === undefined ? {} : { btf: object.btf }),
      contents: () => ({ ...filled, ...devices }),
      cpumap: dispatchCpus,
      cpus: cores,
      queueSize,
      frames,
      queue: trial.queue ?? 0,
      ports: ports.map(({ name, ifindex }) => ({ name: `d${name}`, ifindex })),
      ...(answer === undefined
        ? {}
        : {
            answers: (fates) => {
              for (const fate of fates) {
                if (answers.length === answer.frames) break;
                const seen = fate.sightings.find(
                  ({ at, port }) => at === "wire" && port === answer.port,
                );
                if (seen === undefined) continue;
                answers.push({ data: swapped(seen.frame), port: answer.port });
                answered.push(fate.frame);
              }
              return answers;
            },
          }),
      ...(trial.onProgress === undefined
        ? {}
        : { onProgress: trial.onProgress }),
    },
    ({ fates, lost, strays, perCpu, seconds, loaded }) => {
      trial.look?.(loaded);
      const program = analysed.program;
      const judge = new Judge(program, ports);
      const reference = loadPortable(program, {
        cpus: 1,
        contents: devices,
        seed,
      });
      const inputOf = ({ run }: CpumapFate, data = run.frame): PacketInput => ({
        data,
        ifindex: run.ifindex,
        rxQueue: 0,
        cpu: 0,
        time: run.time,
      });
      const run = (
        some: readonly CpumapFate[],
        inputs: readonly PacketInput[],
        sent: (at: number) => Uint8Array | undefined,
      ): Uint8Array[] => {
        const out: Uint8Array[] = [];
        let next = 0;
        reference.runBatches(inputs, (slot) => {
          const at = next++;
          const fate = some[at];
          if (fate === undefined) return;
          const outcome = reference.outcome(slot);
          out.push(outcome.data);
          judge.frame(fate, outcome, sent(at));
        });
        return out;
      };
      const firsts = fates.slice(0, frames.length);
      const seconds2 = fates.slice(frames.length);
      const out = run(
        firsts,
        firsts.map((fate) => inputOf(fate)),
        (at) => frames[at]?.data,
      );
      run(
        seconds2,
        seconds2.map((fate, at) =>
          inputOf(fate, swapped(out[answered[at] ?? 0] ?? new Uint8Array())),
        ),
        (at) => answers[at]?.data,
      );
      return {
        packets: fates.length,
        mismatches: judge.mismatches,
        first: judge.first,
        lost: lost + frames.length + answers.length - fates.length,
        strays,
        perCpu,
        places: judge.places,
        seconds,
      };
    },
  );
}

/** Compares frame by frame; ports that the program chose, up to one bijection. */
class Judge {
  readonly first: string[] = [];
  readonly places: Record<string, number> = {};
  mismatches = 0;
  readonly #program: ProgramSpec;
  readonly #ports: readonly { readonly ifindex: number }[];
  /** Source port that the reference chose → the one that the kernel's did, and back. */
  readonly #chosen = new Map<number, number>();
  readonly #back = new Map<number, number>();

  constructor(
    program: ProgramSpec,
    ports: readonly { readonly ifindex: number }[],
  ) {
    this.#program = program;
    this.#ports = ports;
  }

  frame(
    fate: CpumapFate,
    outcome: Outcome,
    sent: Uint8Array | undefined,
  ): void {
    const { run, sightings, frame } = fate;
    if (sent === undefined || Buffer.compare(sent, run.frame) !== 0)
      this.#miss(`frame ${frame} came in another place`);
    const want = placesOf(outcome, run.ifindex, this.#program, this.#ports);
    const have = seenAt(fate);
    this.places[have] = (this.places[have] ?? 0) + 1;
    if (want !== have)
      this.#miss(
        `frame ${frame}: ${have || "nowhere"}, wanted ${want || "nowhere"}`,
      );
    else if (
      sightings.some(
        ({ frame: seen }) => !this.#isAlike(seen, outcome.data, run.frame),
      )
    )
      this.#miss(`frame ${frame}: other bytes`);
  }

  #isAlike(have: Uint8Array, want: Uint8Array, sent: Uint8Array): boolean {
    if (Buffer.compare(have, want) === 0) return true;
    const [seen, wanted, before] = [have, want, sent].map((data) =>
      Number(readField(parseFrame(data), "l4.sport") ?? -1n),
    );
    if (seen === undefined || wanted === undefined || wanted === before)
      return false;
    const known = this.#chosen.get(wanted) ?? seen;
    if (known !== seen || (this.#back.get(seen) ?? wanted) !== wanted)
      return false;
    this.#chosen.set(wanted, seen);
    this.#back.set(seen, wanted);
    const renamed = setField(parseFrame(want), "l4.sport", BigInt(seen));
    return (
      renamed !== undefined &&
      Buffer.compare(refreshChecksums(renamed), have) === 0
    );
  }

  #miss(text: string): void {
    this.mismatches++;
    if (this.first.length < 5) this.first.push(text);
  }
}

/** The answer to a frame. */
function swapped(data: Uint8Array): Uint8Array {
  let answer = data;
  for (const [one, other] of [
    ["eth.src", "eth.dst"],
    ["ipv4.src", "ipv4.dst"],
    ["l4.sport", "l4.dport"],
  ] as const) {
    const left = readField(parseFrame(answer), one);
    const right = readField(parseFrame(answer), other);
    if (left === undefined || right === undefined) continue;
    const half = setField(parseFrame(answer), one, right) ?? answer;
    answer = setField(parseFrame(half), other, left) ?? answer;
  }
  return refreshChecksums(answer);
}

function optionsOf(
  { object, set = [] }: CpumapTrial,
  ports: readonly { readonly name: string; readonly ifindex: number }[],
) {
  return {
    file: object,
    set,
    ports,
    userWrites: [],
    kernelBtf: () => undefined,
  };
}

const seenAt = ({ sightings }: CpumapFate): string =>
  sightings
    .map(({ at, port }) => `${at} ${port}`)
    .sort()
    .join(" ");

/** Where the sequential program's outcome leads; nothing: dropped. */
function placesOf(
  { verdict, redirect }: Outcome,
  ifindex: number,
  { maps }: ProgramSpec,
  ports: readonly { readonly ifindex: number }[],
): string {
  const own = ports.findIndex((port) => port.ifindex === ifindex);
  if (verdict === 2) return `stack ${own}`;
  if (verdict === 3) return `wire ${own}`;
  if (verdict !== 4 || redirect === undefined) return "";
  if (redirect.ifindex !== undefined)
    return `wire ${ports.findIndex((port) => port.ifindex === redirect.ifindex)}`;
  const isDevices = maps.some(
    ({ name, type }) => name === redirect.map && type === "devmap",
  );
  return isDevices && redirect.key !== undefined ? `wire ${redirect.key}` : "?";
}
