/**
 * What `bench` measures: programs and split directories, each with packets and the
 * core of every packet.
 *
 * A program that was not split is run as it is on every core ("unsplit"): flows are
 * spread by a hash, as a NIC would, but nothing keeps cores out of each other's state.
 * With shared state that shows what contention costs (races included), with private
 * state what a perfect split could reach; neither is a parallel version of the program.
 */
import { dispatchedCpus } from "../dispatched.ts";
import { existsSync, statSync } from "node:fs";
import { InputError } from "../base/index.ts";
import type { GuardOptions } from "../codegen/index.ts";
import { guardOf } from "../guarded.ts";
import type { PacketInput } from "../interp/index.ts";
import type { ProgramSpec } from "../isa/index.ts";
import { readObject, type Btf } from "../object/index.ts";
import { flowKey, parseFrame } from "../packet/index.ts";
import { reread } from "../pipeline.ts";
import { deviceContents, widened, type MapContents } from "../proof/index.ts";
import { portConfig } from "../rss/index.ts";
import { SteeringInputs, type Port } from "../strategy/index.ts";
import type { TracePacket } from "../traffic/index.ts";
import { toInputs } from "../trial.ts";
import type { Words } from "./command.ts";
import { readSplitDirectory } from "./directory.ts";
import { mustRunInKernel } from "./plan-file.ts";
import { contentsOf, loadAnalysed } from "./input.ts";
import { objectFile } from "./object-file.ts";
import {
  trafficFrom,
  trafficInput,
  type TrafficInput,
} from "./traffic-input.ts";
import { isSet, usage, valuesOf } from "./words.ts";

/** Packets of a core's table; more would only measure the memory they lie in. */
export const tablePackets = 16_384;

export interface Contestant {
  readonly program: ProgramSpec;
  readonly from: string;
  /** As planned, or `unsplit`. */
  readonly strategy: string;
  readonly btf: Btf | undefined;
  readonly contents: (cores: number) => MapContents;
  readonly packets: readonly PacketInput[];
  readonly ports: readonly Port[];
  readonly trace: readonly string[];
  /** Core of each packet. */
  readonly steer: (cores: number) => Uint8Array;
  /** The most that it can be divided over. */
  readonly mostCores: number;
  /** The plan's lock or transaction: without it nothing of it may be timed. */
  readonly guard?: GuardOptions;
}

export async function contestantOf(
  path: string,
  words: Words,
  packets: number,
): Promise<Contestant> {
  return existsSync(path) && statSync(path).isDirectory()
    ? splitContestant(path, words, packets)
    : programContestant(path, words, packets);
}

async function programContestant(
  path: string,
  words: Words,
  packets: number,
): Promise<Contestant> {
  const file = await objectFile(path, words);
  const { program, object, ports, report } = loadAnalysed(file, words);
  const traffic = trafficInput(
    words,
    ports.map(({ name }) => name),
    report,
  );
  const inputs = await packetsOf(path, traffic, { ports, packets });
  const given = contentsOf(words, program, file.contents)?.contents;
  const flows = new Map<string, number>();
  // The same flow always goes to the same core; which one, its number says.
  const numbers = inputs.map(({ data }) => {
    const key = flowKey(parseFrame(data));
    const number = flows.get(key) ?? flows.size;
    flows.set(key, number);
    return number;
  });
  const contents = { ...devices(program, ports), ...given };
  return {
    program,
    from: path,
    strategy: "unsplit",
    btf: object.btf,
    contents: () => contents,
    packets: inputs,
    ports,
    trace: traffic.words,
    steer: (cores) =>
      Uint8Array.from(numbers, (number) => scattered(number) % cores),
    mostCores: 256,
  };
}

async function splitContestant(
  path: string,
  words: Words,
  packets: number,
): Promise<Contestant> {
  for (const flag of ["entry", "type", "set", "port"])
    if (isSet(words, flag))
      throw usage(
        `--${flag} is for a program: ${path} has what split was given`,
      );
  const directory = readSplitDirectory(path);
  const { plan, analysed } = directory;
  if (valuesOf(words, "engine").includes("kernel")) mustRunInKernel(plan);
  const { ports, setup, cores: planned } = plan;
  const names = ports.map(({ name }) => name);
  const given = valuesOf(words, "trace");
  const traffic = trafficFrom(
    given.length > 0 ? given : plan.traffic,
    words,
    names,
  );
  const inputs = await packetsOf(path, traffic, { ports, packets });
  const program = reread(directory.core, analysed.program);
  const before =
    contentsOf(words, analysed.program)?.contents ?? directory.contents;
  const contents = { ...devices(analysed.program, ports), ...before };
  const seen = new SteeringInputs();
  const numbers = inputs.map(({ data, ifindex }) =>
    seen.intern(
      data,
      ports.findIndex((port) => port.ifindex === ifindex),
    ),
  );
  const guard = guardOf(
    plan.runtime ?? { kind: "plain" },
    analysed.report,
    program,
  );
  const cpus = dispatchedCpus(
    readObject(directory.core, directory.coreFile),
    inputs,
    plan,
  );
  const queueOf =
    setup === undefined
      ? (input: number) => input
      : seen.cores(setup.ports.map(({ name }) => portConfig(setup, name)));
  return {
    program,
    from: path,
    strategy: plan.strategy,
    btf: readObject(directory.core, directory.coreFile).btf,
    contents: (cores) => widened(contents, program, cores),
    packets: inputs,
    ports,
    trace: traffic.words,
    // Queues of one core stay together on fewer cores.
    steer: (cores) =>
      Uint8Array.from(
        cpus ?? numbers.map((number) => queueOf(number)),
        (queue) => queue % cores,
      ),
    mostCores: setup === undefined ? 256 : planned,
    ...(guard === undefined ? {} : { guard }),
  };
}

function devices(program: ProgramSpec, ports: readonly Port[]): MapContents {
  return deviceContents(
    program,
    ports.map(({ ifindex }) => ifindex),
  );
}

async function packetsOf(
  path: string,
  traffic: TrafficInput,
  { ports, packets }: { ports: readonly Port[]; packets: number },
): Promise<readonly PacketInput[]> {
  if (traffic.coverageOnly)
    throw usage(
      "--trace gen:coverage: packets that cover branches are no traffic to measure",
      "gen:zipf, gen:uniform, or a capture",
    );
  const trace: TracePacket[] = [];
  for await (const packet of traffic.read()) {
    trace.push(packet);
    if (trace.length === packets) break;
  }
  if (trace.length === 0)
    throw new InputError("the trace has no packets", {
      code: "trace-empty",
      file: path,
    });
  return toInputs(trace, ports);
}

/** Neighbouring numbers far apart (Knuth's multiplicative hash). */
function scattered(number: number): number {
  return Math.imul(number + 1, 0x9e3779b1) >>> 12;
}
