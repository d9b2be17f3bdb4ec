/**
 * The trial of an artifact: which packets it is run on, from which contents, and
 * what must be equal. Covering packets and their neighbours come first, then the
 * user's trace; the differential run itself is `proof`'s.
 */
import type { StateReport } from "./analysis/index.ts";
import { UnsupportedError } from "./base/index.ts";
import { controlEnvironment, rewrittenText } from "./codegen/index.ts";
import { DispatchInputs } from "./dispatched.ts";
import {
  asKernelShows,
  isComparable,
  kernelRunner,
  loadPortable,
  portableRunner,
  testRunTakes,
  type Kernel,
} from "./engine/index.ts";
import type { Outcome, PacketInput } from "./interp/index.ts";
import type { ProgramSpec } from "./isa/index.ts";
import type { Btf } from "./object/index.ts";
import {
  coreCapacities,
  interpRunner,
  lanesOf,
  runDifferential,
  sharedCapacities,
  narrowed,
  widened,
  type Episode,
  type MapContents,
  type Runner,
  type StateRule,
  type Steering,
  type SteeringMutant,
  type Tested,
} from "./proof/index.ts";
import { coveringPackets, type Cover } from "./covering.ts";
import { emittedStates, partitionOf } from "./parting.ts";
import { fullEpisodes, type TrialEpisode } from "./full-episodes.ts";
import { reachable } from "./reachable.ts";
import { portConfig, type NicSetup } from "./rss/index.ts";
import {
  SteeringInputs,
  onlyPort,
  portOfTrace,
  steeringMutants,
  type ObjectPart,
  type Port,
  type SteeringDemand,
} from "./strategy/index.ts";
import { probesOf, type TracePacket } from "./traffic/index.ts";

export interface CheckOptions {
  readonly sequential: ProgramSpec;
  readonly emitted: ProgramSpec;
  readonly report: StateReport;
  /** Object → strategy, as emitted. */
  readonly strategies: ReadonlyMap<string, string>;
  /** The plan's parts: how the emitted object keeps each. Default: all as they were. */
  readonly parts?: readonly ObjectPart[];
  readonly ports: readonly Port[];
  readonly cores: number;
  /** Absent: any spreading is right, there is one core, or the object dispatches itself. */
  readonly setup: NicSetup | undefined;
  /** The dispatcher that brings packets to their cores. */
  readonly dispatcher?: ProgramSpec | undefined;
  readonly demand: SteeringDemand;
  readonly trace: readonly TracePacket[];
  readonly contents?: MapContents;
  /** Found before: what `coveringPackets` answers. */
  readonly cover?: Cover;
  /**
   * Episodes that answer what the run sent out, and that fill each table that can be
   * full. Default: no.
   */
  readonly full?: boolean;
  /** Packets to run besides, each list on a fresh state. */
  readonly more?: readonly TrialEpisode[];
  /** Program mutants at most; default: the differential run's. */
  readonly mutants?: number;
  readonly seed: number;
  /** What runs the emitted bytes; default: the portable engine, if it can. */
  readonly engine?: "wasm" | "interp" | KernelEngine;
  readonly onProgress?: (done: number, total: number) => void;
}

/** The running kernel, with the types of the emitted object. */
export interface KernelEngine {
  readonly kernel: Kernel;
  readonly btf?: Btf;
}

/** Coverage packets and probes, then the trace: both passes and the mutants. */
export function check(given: CheckOptions): Tested {
  const options =
    typeof given.engine === "object"
      ? { ...given, ports: kernelPorts(given) }
      : given;
  const { sequential, emitted, report, cores, seed } = options;
  const way = wayOf(options);
  const { episodes, contents } = episodesOf(options, way);
  const { steering } = way;
  const emittedContents = widened(contents, emitted, cores);
  const engine = options.engine ?? engineFor(emitted);
  const sizes = new Map(
    (options.parts ?? []).flatMap(({ object, layout }) => {
      const map = sequential.maps.find(({ name }) => name === object);
      return layout === "locked" && map !== undefined
        ? [[object, map.valueSize] as const]
        : [];
    }),
  );
  const runnerOf: ReturnType<typeof runnerFor> = (program, more) =>
    narrowed(runnerFor(engine)(program, more), sizes);
  const sharded = new Set(
    [...options.strategies].flatMap(([object, strategy]) =>
      strategy === "shard" ? [object] : [],
    ),
  );
  const shares = sharedCapacities(emitted, sharded, cores);
  const partition =
    options.parts === undefined
      ? undefined
      : partitionOf({
          parts: options.parts,
          report,
          program: sequential,
          cores,
        });
  return runDifferential({
    ...(typeof engine === "object"
      ? {
          engine: "kernel",
          rewrittenCalls: controlEnvironment(emitted, {
            cpus: cores,
          }).rewritten.map(rewrittenText),
        }
      : { engine }),
    shown: shownBy(options, engine),
    sequential,
    emitted,
    episodes,
    contents,
    sharded,
    rules: stateRules(options),
    cores,
    steering,
    intern: ({ data, ifindex }) =>
      way.intern(data, portIndex(options.ports, ifindex)),
    ...(partition === undefined
      ? {}
      : {
          partition,
          partitionedState: emittedStates({ ...options, contents }, partition),
        }),
    ...(options.mutants === undefined ? {} : { mutants: options.mutants }),
    ...(way.entries === undefined ? {} : { entries: way.entries }),
    runEmitted: (program = emitted) =>
      runnerOf(program, { contents: emittedContents, seed }),
    shares,
    shared: [...options.strategies.values()].some(
      (name) => name === "lock" || name === "transaction",
    ),
    runPrivate: (core) =>
      runnerOf(emitted, {
        contents: emittedContents,
        seed,
        capacities: coreCapacities(shares, core, contents),
      }),
    steeringMutants: way.mutants,
    // Behind a cpumap a frame goes back by a redirect.
    ...reachable(sequential, report, {
      shown: (value) =>
        options.dispatcher !== undefined && value === TX ? REDIRECT : value,
      filled: Object.keys(contents),
    }),
    seed,
    ...(options.onProgress === undefined
      ? {}
      : { onProgress: options.onProgress }),
  });
}

const TX = 3;
const REDIRECT = 4;

/** How packets find their cores, with what would be wrong ways. */
interface Way {
  readonly intern: (frame: Uint8Array, port: number) => number;
  readonly steering: Steering;
  readonly entries?: Steering;
  readonly mutants: readonly SteeringMutant[];
}

/** Members are looked at when all packets are interned. */
function wayOf(options: CheckOptions): Way {
  const { setup, cores, dispatcher, demand, ports } = options;
  if (dispatcher !== undefined)
    return new DispatchInputs(dispatcher, { cores, demand, ports });
  const inputs = new SteeringInputs();
  const intern = (frame: Uint8Array, port: number): number =>
    inputs.intern(frame, port);
  if (setup === undefined)
    return { intern, steering: (input) => input % cores, mutants: [] };
  const configs = setup.ports.map(({ name }) => portConfig(setup, name));
  return {
    intern,
    steering: inputs.cores(configs),
    entries: inputs.entries(configs),
    get mutants() {
      return steeringMutants(inputs, setup, demand);
    },
  };
}

/** An outcome of the sequential program as what runs the emitted one can show it. */
function shownBy(
  { dispatcher }: CheckOptions,
  engine: NonNullable<CheckOptions["engine"]>,
): (outcome: Outcome, input: PacketInput) => Outcome {
  return (outcome, { ifindex }) => {
    const back: Outcome =
      dispatcher !== undefined && outcome.verdict === TX
        ? { ...outcome, verdict: REDIRECT, redirect: { ifindex, flags: 0n } }
        : outcome;
    return typeof engine === "object" ? asKernelShows(back) : back;
  };
}

/** An input as a packet of a trace; its port is the index in `ports`. */
export function asTracePacket(
  { data, time, ifindex }: PacketInput,
  ports: readonly Port[],
): TracePacket {
  const port = ports.findIndex((candidate) => candidate.ifindex === ifindex);
  return { data, wireLength: data.length, time, port: Math.max(port, 0) };
}

export type { TrialEpisode } from "./full-episodes.ts";
export { coveringPackets, type Cover, type CoverRequest } from "./covering.ts";

/** Covering packets whose neighbours are tried: about a hundred each. */
const probedPackets = 48;

/** Covering packets with their neighbours, then the trace; all interned. */
function episodesOf(
  options: CheckOptions,
  seen: Pick<Way, "intern" | "steering">,
): { episodes: Episode[]; contents: MapContents } {
  const { sequential, report, ports, cores, trace, seed, ...given } = options;
  const isKernel = typeof given.engine === "object";
  const episode = ({
    name,
    packets: all,
    answers,
    head,
  }: TrialEpisode): Episode => {
    const whole = isKernel
      ? all.filter((packet) => testRunTakes(sequential.type, packet))
      : all;
    const packets = isKernel
      ? whole.filter((packet) =>
          ports.some(({ ifindex }) => ifindex === packet.ifindex),
        )
      : whole;
    const leftOut = {
      frames: all.length - whole.length,
      ports: whole.length - packets.length,
    };
    const steering = packets.map((packet) =>
      seen.intern(packet.data, portIndex(ports, packet.ifindex)),
    );
    return {
      name,
      packets,
      steering,
      leftOut,
      ...(answers === undefined ? {} : { answers }),
      ...(head === undefined ? {} : { head }),
    };
  };
  const inputs = toInputs(trace, ports);
  const cover =
    given.cover ??
    coveringPackets({
      program: sequential,
      report,
      ports,
      cpus: cores,
      seeds: inputs.slice(0, 32),
      seed,
      ...given,
    });
  const { contents } = cover;
  const neighbours = probesOf(
    cover.packets.map((packet) => asTracePacket(packet, ports)),
    {
      ports: ports.length,
      after: cover.packets.at(-1)?.time ?? 0n,
      limit: probedPackets,
    },
  );
  const coverage = [
    ...cover.packets,
    ...toInputs([...neighbours], ports, (port) => port),
  ];
  return {
    episodes: [
      episode({ name: "coverage", packets: coverage }),
      ...(trace.length === 0
        ? []
        : [episode({ name: "trace", packets: inputs })]),
      ...(given.full === true
        ? fullEpisodes({
            ...options,
            cover,
            inputs,
            coreOf: ({ data, ifindex }) =>
              seen.steering(seen.intern(data, portIndex(ports, ifindex))),
            accepts: (packet) =>
              !isKernel ||
              (testRunTakes(sequential.type, packet) &&
                ports.some(({ ifindex }) => ifindex === packet.ifindex)),
          }).map(episode)
        : []),
      ...(given.more ?? []).map(episode),
    ],
    contents,
  };
}

function portIndex(ports: readonly Port[], ifindex: number): number {
  return ports.findIndex((port) => port.ifindex === ifindex);
}

/** Packets of a trace as inputs of a run; ports by their interface. */
export function toInputs(
  trace: readonly TracePacket[],
  ports: readonly Port[],
  indexOf = portOfTrace(ports),
): PacketInput[] {
  return trace.map((packet) => ({
    data: packet.data,
    ifindex: ports[indexOf(packet.port)]?.ifindex ?? 1,
    rxQueue: 0,
    cpu: 0,
    time: packet.time,
  }));
}

/** The portable engine, or the interpreter for what that does not have. */
function engineFor(program: ProgramSpec): "wasm" | "interp" {
  try {
    loadPortable(program);
    return "wasm";
  } catch (error) {
    if (error instanceof UnsupportedError) return "interp";
    throw error;
  }
}

type RunnerOf = (
  program: ProgramSpec,
  options: {
    readonly contents: MapContents;
    readonly seed: number;
    readonly capacities?: Readonly<Record<string, number>>;
  },
) => Runner;

function runnerFor(engine: "wasm" | "interp" | KernelEngine): RunnerOf {
  if (engine === "wasm") return portableRunner;
  if (engine === "interp") return interpRunner;
  const { kernel, btf } = engine;
  return (program, options) =>
    kernelRunner(kernel, program, {
      ...options,
      ...(btf === undefined ? {} : { btf }),
    });
}

/**
 * Where nobody tests the port, an interface with many queues; loopback has one, and
 * cores are told apart by queues.
 */
function kernelPorts({ ports, cores }: CheckOptions): readonly Port[] {
  const [first] = ports;
  if (
    first === onlyPort ||
    (ports.length === 1 && first?.name === onlyPort.name)
  )
    return [{ ...onlyPort, ifindex: 2 }];
  const loopback = ports.find(({ ifindex }) => ifindex === 1);
  if (loopback !== undefined && cores > 1)
    throw new UnsupportedError(
      `port ${loopback.name} is interface 1, the loopback device, which has one queue for ${cores} cores`,
      {
        feature: `${cores} queues of the loopback device`,
        fix: "split with --port NAME=IFINDEX, or use --engine wasm",
      },
    );
  return ports;
}

/**
 * Merged objects compare by sums, and what was per-CPU already not at all, nor what
 * user space cannot read in the kernel.
 */
function stateRules({
  sequential: program,
  report,
  strategies,
  engine,
}: CheckOptions): Map<string, StateRule> {
  const rules = new Map<string, StateRule>();
  if (typeof engine === "object")
    for (const map of program.maps)
      if (!isComparable(map)) rules.set(map.name, { kind: "unread" });
  for (const { name, access, cpuIndexed } of report.objects) {
    const map = program.maps.find((candidate) => candidate.name === name);
    if (access === "per-cpu" || cpuIndexed)
      rules.set(name, { kind: "per-cpu" });
    else if (strategies.get(name) === "merge" && map !== undefined)
      rules.set(name, { kind: "merged", lanes: lanesOf(map) });
  }
  return rules;
}
