/**
 * `divisi run`: a program on one core, or a split directory with a worker per
 * core and private state, over a trace.
 */
import { existsSync, statSync } from "node:fs";
import { InputError } from "../base/index.ts";
import { loadPortable, runParallel } from "../engine/index.ts";
import { guardOf } from "../guarded.ts";
import { mustRunInKernel } from "./plan-file.ts";
import {
  BytecodeMachine,
  createState,
  type PacketInput,
} from "../interp/index.ts";
import type { ProgramSpec } from "../isa/index.ts";
import { reread } from "../pipeline.ts";
import {
  coreCapacities,
  deviceContents,
  mergedDigest,
  sharedCapacities,
  widened,
  type MapContents,
} from "../proof/index.ts";
import { portConfig } from "../rss/index.ts";
import { dispatchedCpus } from "../dispatched.ts";
import { readObject } from "../object/index.ts";
import { SteeringInputs, onlyPort, type Port } from "../strategy/index.ts";
import type { TracePacket } from "../traffic/index.ts";
import {
  asTracePacket,
  coveringPackets,
  toInputs,
  type CoverRequest,
} from "../trial.ts";
import type { Words } from "./command.ts";
import { readSplitDirectory } from "./directory.ts";
import { namespace, serving } from "./flags.ts";
import { contentsOf, loadAnalysed } from "./input.ts";
import { objectFile } from "./object-file.ts";
import { runRebalanced } from "./run-rebalance.ts";
import { runIface } from "./run-iface.ts";
import { misdirected } from "./misdirected.ts";
import { runAnswer, type Ran } from "./run-answer.ts";
import { seenIn } from "./seen.ts";
import { say, type Answer, type Rendering } from "./render.ts";
import { runOnKernel } from "./run-kernel.ts";
import { readTrace } from "./split.ts";
import {
  trafficFrom,
  trafficInput,
  type TrafficInput,
} from "./traffic-input.ts";
import { choiceOf, isSet, seedOf, usage, valueOf, valuesOf } from "./words.ts";

const engines = ["wasm", "interp", "kernel"] as const;

export async function run(words: Words, rendering: Rendering): Promise<Answer> {
  const [path = ""] = words.args;
  if (!isSet(words, "iface"))
    for (const { name } of [namespace, ...serving])
      if (isSet(words, name)) throw usage(`--${name} is for --iface`);
  if (isSet(words, "virtual") && !isSet(words, "rebalance"))
    throw usage("--virtual is for --rebalance");
  if (isSet(words, "rebalance"))
    for (const name of ["iface", "out"])
      if (isSet(words, name)) throw usage(`--rebalance goes without --${name}`);
  const isStream = valueOf(words, "out") === "-";
  if (isStream && rendering.json)
    throw usage("--json and `--out -` both want standard output");
  const answer = isSet(words, "iface")
    ? await runIface(words, rendering)
    : existsSync(path) && statSync(path).isDirectory()
      ? await runDirectory(path, words)
      : await runProgram(path, words);
  if (!isStream) return answer;
  // The packets are the data now, and the figures words for people.
  if (!rendering.quiet) say(answer.text);
  return { ...answer, text: "" };
}

async function runProgram(path: string, words: Words): Promise<Answer> {
  if (isSet(words, "rebalance"))
    throw usage("--rebalance is for what split wrote, not for a program");
  const file = await objectFile(path, words);
  const { program, report, ports, object } = loadAnalysed(file, words);
  const names = ports.map(({ name }) => name);
  const traffic = trafficInput(words, names, report);
  const seed = seedOf(words);
  const given = contentsOf(words, program, file.contents)?.contents;
  const { trace, inputs, contents } = await packetsFor(traffic, {
    program,
    report,
    ports,
    cpus: 1,
    seeds: [],
    seed,
    ...(given === undefined ? {} : { contents: given }),
  });
  const options = { seed, contents };
  const engine = choiceOf(words, "engine", engines);
  const ran =
    engine === "kernel"
      ? await runOnKernel(program, inputs, {
          ...options,
          cores: 1,
          btf: object.btf,
        })
      : engine === "interp"
        ? interpreted(program, inputs, options)
        : compiled(program, inputs, options);
  return runAnswer(path, program, { trace, ports }, ran, words);
}

/** The trace, or the program's own covering packets, with first contents of maps. */
async function packetsFor(
  traffic: TrafficInput,
  request: CoverRequest,
): Promise<{
  trace: readonly TracePacket[];
  inputs: readonly PacketInput[];
  contents: MapContents;
}> {
  const { program, ports } = request;
  if (traffic.coverageOnly) {
    const { packets: inputs, contents } = coveringPackets(request);
    const trace = inputs.map((input) => asTracePacket(input, ports));
    return { trace, inputs, contents };
  }
  const { trace } = await readTrace(traffic.read());
  return {
    trace,
    inputs: toInputs(trace, ports),
    contents: {
      ...deviceContents(
        program,
        ports.map(({ ifindex }) => ifindex),
      ),
      ...request.contents,
    },
  };
}

interface EngineOptions {
  readonly seed: number;
  readonly contents: MapContents;
}

function compiled(
  program: ProgramSpec,
  inputs: readonly PacketInput[],
  { seed, contents }: EngineOptions,
): Ran {
  const loaded = loadPortable(program, { cpus: 1, seed, contents });
  const outcomes = loaded.run(inputs);
  return {
    outcomes,
    spent: "in compiled code",
    ns: Math.round(loaded.spent.ns),
    cores: [{ packets: inputs.length, ns: Math.round(loaded.spent.ns) }],
    misdirected: 0,
    stateDigest: mergedDigest(program.maps, [loaded.contents()]),
  };
}

function interpreted(
  program: ProgramSpec,
  inputs: readonly PacketInput[],
  { seed, contents }: EngineOptions,
): Ran {
  const state = createState(program.maps, { cpus: 1, contents });
  const machine = new BytecodeMachine(program, state, { seed });
  const started = performance.now();
  const outcomes = inputs.map((input) => machine.run(input));
  const ns = Math.round((performance.now() - started) * 1e6);
  return {
    outcomes,
    spent: "in the interpreter",
    ns,
    cores: [{ packets: inputs.length, ns }],
    misdirected: 0,
    stateDigest: mergedDigest(program.maps, [
      Object.fromEntries(
        program.maps.map(({ name }) => [name, state.entries(name)]),
      ),
    ]),
  };
}

async function runDirectory(path: string, words: Words): Promise<Answer> {
  for (const flag of ["entry", "type", "set", "map-size", "port"])
    if (isSet(words, flag))
      throw usage(
        `--${flag} is for a program: ${path} has what split was given`,
      );
  const directory = readSplitDirectory(path);
  const { plan, analysed } = directory;
  const wrong = [...directory.changed, ...directory.disagreeing];
  if (wrong.length > 0)
    throw new InputError(
      `${wrong.join(", ")} changed since the certificate was written`,
      {
        code: "directory-changed",
        file: path,
        fix: "divisi check tells whether it is still equal; split writes it anew",
      },
    );
  const engine = choiceOf(words, "engine", engines);
  if (engine === "interp")
    throw usage("--engine interp runs programs, not directories");
  const names = plan.ports.map(({ name }) => name);
  const given = valuesOf(words, "trace");
  const traffic = trafficFrom(
    given.length > 0 ? given : plan.traffic,
    words,
    names,
  );
  const program = reread(directory.core, analysed.program, directory.coreFile);
  const before =
    contentsOf(words, analysed.program)?.contents ?? directory.contents;
  const { trace, inputs, contents } = await packetsFor(traffic, {
    program: analysed.program,
    report: analysed.report,
    ports: plan.ports,
    cpus: plan.cores,
    seeds: [],
    seed: seedOf(words),
    ...(before === undefined ? {} : { contents: before }),
  });
  if (isSet(words, "rebalance")) {
    if (engine === "kernel")
      throw usage("--rebalance is for the portable engine");
    return runRebalanced({
      directory,
      trace,
      inputs,
      contents,
      seed: seedOf(words),
      isVirtual: isSet(words, "virtual"),
    });
  }
  const seen = new SteeringInputs();
  const numbers = trace.map((packet, index) =>
    seen.intern(
      packet.data,
      plan.ports.findIndex(({ ifindex }) => ifindex === inputs[index]?.ifindex),
    ),
  );
  const { setup } = plan;
  const steering =
    setup === undefined
      ? (input: number) => input % plan.cores
      : seen.cores(setup.ports.map(({ name }) => portConfig(setup, name)));
  const shares = sharedCapacities(
    program,
    new Set(
      plan.objects.flatMap(({ name, strategy }) =>
        strategy === "shard" ? [name] : [],
      ),
    ),
    plan.cores,
  );
  const steer = Uint8Array.from(
    dispatchedCpus(
      readObject(directory.core, directory.coreFile),
      inputs,
      plan,
    ) ?? numbers.map((number) => steering(number)),
  );
  const notSteered =
    setup === undefined ? 0 : misdirected(setup, plan.ports, inputs, steer);
  if (engine === "kernel") {
    mustRunInKernel(plan);
    const ran = await runOnKernel(program, queued(inputs, steer, plan.ports), {
      seed: seedOf(words),
      contents: widened(contents, program, plan.cores),
      cores: plan.cores,
      btf: readObject(directory.core, directory.coreFile).btf,
    });
    const traffic = { trace, ports: plan.ports };
    const all = { ...ran, misdirected: notSteered };
    return runAnswer(path, program, traffic, all, words);
  }
  const needsFrames = valueOf(words, "out") !== undefined;
  const hasOwnCells = plan.objects.some(
    ({ layout }) => layout !== undefined && layout !== "as-is",
  );
  const guard = guardOf(
    plan.runtime ?? { kind: "plain" },
    analysed.report,
    program,
  );
  const result = await runParallel({
    program,
    cores: plan.cores,
    packets: hasOwnCells
      ? inputs.map((input, index) => onCore(input, steer[index] ?? 0))
      : inputs,
    steer,
    cpus: plan.cores,
    seed: seedOf(words),
    keep: needsFrames ? "outcomes" : "verdicts",
    contents: widened(contents, program, plan.cores),
    ...(guard === undefined
      ? {
          perCore: Array.from({ length: plan.cores }, (_, core) => ({
            capacities: coreCapacities(shares, core, contents),
          })),
        }
      : { guard, memory: "shared" as const }),
  });
  return runAnswer(
    path,
    program,
    { trace, ports: plan.ports },
    {
      outcomes: needsFrames ? result.outcomes : seenIn(result),
      misdirected: notSteered,
      spent: "in compiled code",
      ns: Math.round(result.cores.reduce((sum, { ns }) => sum + ns, 0)),
      cores: result.cores.map(({ packets, ns }) => ({
        packets,
        ns: Math.round(ns),
      })),
      stateDigest: mergedDigest(
        program.maps,
        // Guarded cores share one state: each shows it.
        (guard === undefined ? result.cores : result.cores.slice(0, 1)).map(
          (core) => core.contents,
        ),
      ),
    },
    words,
  );
}

const onCore = (input: PacketInput, core: number): PacketInput => ({
  ...input,
  cpu: core,
  rxQueue: core,
});

/** Each on its core's queue; where nobody tests the port, of an interface that has queues. */
function queued(
  inputs: readonly PacketInput[],
  steer: Uint8Array,
  ports: readonly Port[],
): PacketInput[] {
  const isAny = ports.length === 1 && ports[0]?.name === onlyPort.name;
  return inputs.map((input, index) => {
    const core = steer[index] ?? 0;
    const ifindex = isAny ? 2 : input.ifindex;
    return { ...input, ifindex, cpu: core, rxQueue: core };
  });
}
