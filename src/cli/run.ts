/**
 * `divisi run`: a program on one core, or a split directory with a worker per
 * core and private state, over a trace.
 */
import { existsSync, statSync } from "node:fs";
import { InputError } from "../base/index.ts";
import { loadPortable, runParallel } from "../engine/index.ts";
import {
  BytecodeMachine,
  createState,
  type PacketInput,
} from "../interp/index.ts";
import { programTypeRow, type ProgramSpec } from "../isa/index.ts";
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
import { readObject } from "../object/index.ts";
import { SteeringInputs, onlyPort, type Port } from "../strategy/index.ts";
import { pcapngBytes, type TracePacket } from "../traffic/index.ts";
import {
  asTracePacket,
  coveringPackets,
  toInputs,
  type CoverRequest,
} from "../trial.ts";
import type { Words } from "./command.ts";
import { readSplitDirectory } from "./directory.ts";
import { writeWhole } from "./files.ts";
import { contentsOf, loadAnalysed } from "./input.ts";
import { runIface } from "./run-iface.ts";
import { misdirected } from "./misdirected.ts";
import { seenIn, type Seen } from "./seen.ts";
import { say, writeData, type Answer, type Rendering } from "./render.ts";
import { runOnKernel } from "./run-kernel.ts";
import { readTrace } from "./split.ts";
import {
  trafficFrom,
  trafficInput,
  type TrafficInput,
} from "./traffic-input.ts";
import { choiceOf, isSet, seedOf, usage, valueOf, valuesOf } from "./words.ts";

interface Ran {
  readonly outcomes: readonly Seen[];
  readonly cores: readonly { readonly packets: number; readonly ns: number }[];
  readonly stateDigest: string;
  /** Packets on another core than the NIC's model gives them; 0 where one core runs all. */
  readonly misdirected: number;
  /** Of the kernel: calls that it was not given as they are. */
  readonly rewrittenCalls?: readonly string[];
}

const engines = ["wasm", "interp", "kernel"] as const;

export async function run(words: Words, rendering: Rendering): Promise<Answer> {
  const [path = ""] = words.args;
  if (isSet(words, "namespace") && !isSet(words, "iface"))
    throw usage("--namespace is for --iface");
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
  const { program, report, ports, object } = loadAnalysed(path, words);
  const names = ports.map(({ name }) => name);
  const traffic = trafficInput(words, names);
  const seed = seedOf(words);
  const given = contentsOf(words, program)?.contents;
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
  return answer(path, program, { trace, ports }, ran, words);
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
  return {
    outcomes,
    cores: [
      {
        packets: inputs.length,
        ns: Math.round((performance.now() - started) * 1e6),
      },
    ],
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
  const program = reread(directory.core, analysed.program);
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
  const steer = Uint8Array.from(numbers, (number) => steering(number));
  const notSteered =
    setup === undefined ? 0 : misdirected(setup, plan.ports, inputs, steer);
  if (engine === "kernel") {
    const ran = await runOnKernel(program, queued(inputs, steer, plan.ports), {
      seed: seedOf(words),
      contents: widened(contents, program, plan.cores),
      cores: plan.cores,
      btf: readObject(directory.core, "core.o").btf,
    });
    const traffic = { trace, ports: plan.ports };
    const all = { ...ran, misdirected: notSteered };
    return answer(path, program, traffic, all, words);
  }
  const needsFrames = valueOf(words, "out") !== undefined;
  const result = await runParallel({
    program,
    cores: plan.cores,
    packets: inputs,
    steer,
    cpus: plan.cores,
    seed: seedOf(words),
    keep: needsFrames ? "outcomes" : "verdicts",
    contents: widened(contents, program, plan.cores),
    perCore: Array.from({ length: plan.cores }, (_, core) => ({
      capacities: coreCapacities(shares, core, contents),
    })),
  });
  return answer(
    path,
    program,
    { trace, ports: plan.ports },
    {
      outcomes: needsFrames ? result.outcomes : seenIn(result),
      misdirected: notSteered,
      cores: result.cores.map(({ packets, ns }) => ({
        packets,
        ns: Math.round(ns),
      })),
      stateDigest: mergedDigest(
        program.maps,
        result.cores.map((core) => core.contents),
      ),
    },
    words,
  );
}

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

interface Traffic {
  readonly trace: readonly TracePacket[];
  readonly ports: readonly Port[];
}

async function answer(
  path: string,
  program: ProgramSpec,
  { trace, ports }: Traffic,
  ran: Ran,
  words: Words,
): Promise<Answer> {
  const names = programTypeRow(program.type).verdicts;
  const nameOf = (verdict: number): string => names[verdict] ?? String(verdict);
  const verdicts: Record<string, number> = {};
  for (const { verdict } of ran.outcomes)
    verdicts[nameOf(verdict)] = (verdicts[nameOf(verdict)] ?? 0) + 1;
  const faults = ran.outcomes.flatMap(({ fault }, packet) =>
    fault === undefined ? [] : [{ packet, ...fault }],
  );
  const output = valueOf(words, "out");
  if (output !== undefined)
    await writeOut(
      output,
      trace.map((packet, index) => ({
        ...packet,
        data: ran.outcomes[index]?.data ?? packet.data,
        wireLength: ran.outcomes[index]?.data?.length ?? packet.wireLength,
      })),
      ports,
      (index) => nameOf(ran.outcomes[index]?.verdict ?? 0),
    );
  const total = trace.length;
  const count = (value: number): string => value.toLocaleString("en");
  const included =
    ran.rewrittenCalls === undefined
      ? "program and helpers only"
      : "one test run per packet";
  return {
    exit: 0,
    json: {
      schema: "divisi.run/1",
      program: program.name,
      from: path,
      packets: total,
      verdicts,
      cores: ran.cores,
      misdirected: ran.misdirected,
      ...(ran.rewrittenCalls === undefined
        ? { includes: "program" }
        : {
            engine: "kernel",
            includes: "program+test run",
            rewrittenCalls: ran.rewrittenCalls,
          }),
      faults: faults.slice(0, 20),
      stateDigest: ran.stateDigest,
    },
    text: [
      `${program.name}: ${count(total)} packets`,
      ...Object.entries(verdicts).map(
        ([name, packets]) => `  ${name.padEnd(10)} ${count(packets)}`,
      ),
      ...ran.cores.map(
        ({ packets, ns }, core) =>
          `  core ${core}     ${count(packets)} packets, ${packets === 0 ? "idle" : `${(ns / packets).toFixed(1)} ns each (${included})`}`,
      ),
      ...faults
        .slice(0, 3)
        .map(
          ({ packet, text, at }) =>
            `  fault      packet ${packet}: ${text}${at === undefined ? "" : ` at ${at.function}+${at.instruction}`}`,
        ),
      ...(ran.rewrittenCalls ?? []).map(
        (call, at) => `  ${at === 0 ? "rewritten  " : "           "}${call}`,
      ),
      `  state      ${ran.stateDigest}`,
    ].join("\n"),
  };
}

async function writeOut(
  output: string,
  packets: readonly TracePacket[],
  ports: readonly Port[],
  verdictOf: (index: number) => string,
): Promise<void> {
  const bytes = pcapngBytes(packets, {
    application: "divisi",
    interfaces: ports.map(({ name }) => name),
    comment: (_packet, index) => verdictOf(index),
  });
  if (output === "-") return writeData(bytes);
  writeWhole(output, bytes);
}
