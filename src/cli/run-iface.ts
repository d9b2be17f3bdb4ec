/**
 * `divisi run … --iface IF[,IF…] --trace TRACE`: packets through real XDP on veth
 * pairs. Each verdict, place and frame is compared with the portable engine's.
 *
 * Nothing outlives the process: links, maps and namespaces are descriptors of it, and
 * it dies with its supervisor.
 */
import process from "node:process";
import { UnsupportedError } from "../base/index.ts";
import { controlEnvironment } from "../codegen/index.ts";
import {
  compareFates,
  compareState,
  dieWithParent,
  openKernel,
  referenceOf,
  runOnWires,
  verdictName,
  type BoundProgram,
  type Fate,
  type FateMismatch,
  type TraceFrame,
  type WireRunResult,
} from "../engine/index.ts";
import { possibleCpus } from "../host/index.ts";
import { lift } from "../ir/index.ts";
import { helperByNumber, type ProgramSpec } from "../isa/index.ts";
import { NicModel, portConfig } from "../rss/index.ts";
import { portOfTrace } from "../strategy/index.ts";
import { pcapngBytes, type TracePacket } from "../traffic/index.ts";
import type { Words } from "./command.ts";
import { writeWhole } from "./files.ts";
import {
  ifaceSubject,
  indexToMake,
  type IfaceSubject,
} from "./iface-subject.ts";
import { interfacesGiven, namesInOrder } from "./iface-words.ts";
import { Progress, writeData, type Answer, type Rendering } from "./render.ts";
import { serve } from "./run-serve.ts";
import { Stop } from "./stop.ts";
import { readTrace } from "./split.ts";
import { trafficFrom } from "./traffic-input.ts";
import { isSet, seedOf, usage, valueOf, valuesOf } from "./words.ts";

export async function runIface(
  words: Words,
  rendering: Rendering,
): Promise<Answer> {
  const given = interfacesGiven(words);
  if (isSet(words, "engine"))
    throw usage("--engine is not for --iface: there the kernel runs it");
  const subject = await ifaceSubject(words, given.length);
  const names = namesInOrder(given, subject);
  const supervisor = process.env["DIVISI_SUPERVISOR"];
  await dieWithParent(
    supervisor === undefined ? undefined : Number(supervisor),
  );
  if (valuesOf(words, "trace").length > 0) {
    for (const flag of ["mode", "replace", "apply-nic", "duration", "pin-root"])
      if (isSet(words, flag))
        throw usage(`--${flag} is for serving, without --trace`);
    return runTrace(subject, { names, words, rendering });
  }
  for (const flag of ["namespace", "out"])
    if (isSet(words, flag)) throw usage(`--${flag} wants a --trace`);
  return serve(subject, { names, words, rendering });
}

interface TraceContext {
  readonly names: readonly string[];
  readonly words: Words;
  readonly rendering: Rendering;
}

async function runTrace(
  subject: IfaceSubject,
  { names, words, rendering }: TraceContext,
): Promise<Answer> {
  if (subject.isDispatched)
    throw new UnsupportedError(
      `${subject.name} has a dispatcher before it: frames of a trace are followed through one program only`,
      {
        feature: "--iface with --trace behind a cpumap",
        fix: "serve the interfaces without --trace, or run the trace without --iface",
      },
    );
  const seed = seedOf(words);
  const make = isSet(words, "namespace");
  const { trace } = await readTrace(
    trafficFrom(
      valuesOf(words, "trace"),
      words,
      subject.ports.map(({ name }) => name),
    ).read(),
  );
  const frames = steered(trace, subject);
  const cpus = possibleCpus();
  const own = subject.bind(
    names.map((_, port) => port + 1),
    cpus,
  ).program;
  const clock = clockOf(own, cpus);
  const kernel = await openKernel();
  const progress = new Progress("running", rendering);
  const stop = new Stop();
  let bound: BoundProgram | undefined;
  try {
    return await runOnWires(
      kernel,
      {
        bind: (ports) => {
          bound = subject.bind(
            ports.map(({ ifindex }) => ifindex),
            cpus,
          );
          if (clock !== "an input") return bound;
          // What the verifier says of the program as it is, is said of that.
          kernel.load([bound.program], bound).close();
          const { program } = controlEnvironment(bound.program, {
            cpus,
            atOnce: true,
          });
          return { ...bound, program };
        },
        frames,
        ports: names.map((name, port) => ({
          name,
          ...(make ? { ifindex: indexToMake(subject, port) } : {}),
        })),
        interfaces: make ? "make" : "find",
        queues: subject.cores,
        oneByOne: usesMetadata(own),
        onProgress: (done, total) => progress.update(done, total),
        isCancelled: stop.isAsked,
      },
      async (result) => {
        progress.finish();
        const interfaces = result.ports.map(({ ifindex }) => ifindex);
        const options = {
          program: bound?.program ?? own,
          contents: bound?.contents ?? {},
          cpus,
          seed,
          interfaces,
        };
        const isCompared = clock !== "not comparable";
        const reference = isCompared
          ? referenceOf(result.fates, options)
          : undefined;
        const outcomes = reference?.outcomes ?? [];
        await writeOut(words, trace, { subject, program: own, result });
        return answer(subject, {
          program: own,
          result,
          names,
          clock,
          frames,
          isCancelled: stop.isAsked(),
          compared: outcomes.length,
          state:
            reference === undefined
              ? []
              : compareState(result.loaded, options.program, reference),
          mismatches: compareFates(result.fates, outcomes, options),
        });
      },
    );
  } finally {
    stop.end();
    kernel.close();
  }
}

/** Port and queue of each packet: what the NIC's model says where there is a set-up. */
function steered(
  trace: readonly TracePacket[],
  { ports, cores, setup }: IfaceSubject,
): readonly TraceFrame[] {
  const portOf = portOfTrace(ports);
  const models = setup?.ports.map(
    ({ name }) => new NicModel(portConfig(setup, name)),
  );
  return trace.map(({ data, port: given }, at) => {
    const port = portOf(given);
    const model = models?.[port];
    return {
      data,
      port,
      queue: model === undefined ? at % cores : model.queueOf(data).queue,
    };
  });
}

/**
 * Whose clock and random numbers the program sees. `real`: it asks for neither.
 * `an input`: its calls are exchanged, so that they can be repeated. Random numbers
 * cannot: the kernel's differ.
 */
type Clock = "real" | "an input" | "not comparable";

function clockOf(program: ProgramSpec, cpus: number): Clock {
  const { rewritten, usesRandom } = controlEnvironment(program, { cpus });
  if (usesRandom) return "not comparable";
  return rewritten.some(
    ({ how, helper }) =>
      how === "exchanged" && helper !== "get_smp_processor_id",
  )
    ? "an input"
    : "real";
}

/** Then ours would be in its way, and frames go one by one instead of tagged. */
function usesMetadata(program: ProgramSpec): boolean {
  const reads = lift(program).functions.some(({ values }) =>
    values.some(
      (type) => type?.kind === "pointer" && type.region.kind === "packet-meta",
    ),
  );
  return (
    reads ||
    program.functions.some(({ instructions }) =>
      instructions.some(
        (each) =>
          each.kind === "call" &&
          each.callee.kind === "helper" &&
          helperByNumber(each.callee.helper)?.name === "xdp_adjust_meta",
      ),
    )
  );
}

interface Ran {
  readonly program: ProgramSpec;
  readonly result: WireRunResult;
  readonly names: readonly string[];
  readonly clock: Clock;
  readonly frames: readonly TraceFrame[];
  readonly isCancelled: boolean;
  readonly compared: number;
  /** Cells of the maps that differ at the end, a sentence each. */
  readonly state: readonly string[];
  readonly mismatches: readonly FateMismatch[];
}

function answer(subject: IfaceSubject, ran: Ran): Answer {
  const { program, result, names, clock, frames, compared, mismatches } = ran;
  const { fates, lostBefore, lostAfter, strays, sent, seconds } = result;
  const verdicts: Record<string, number> = {};
  for (const { verdict } of fates) {
    const name = verdictName(program, verdict);
    verdicts[name] = (verdicts[name] ?? 0) + 1;
  }
  const misdirected = fates.filter(
    ({ frame, run }) => frames[frame]?.queue !== run.queue,
  ).length;
  const failed = fates.filter(({ run }) => (run.redirect ?? 0) !== 0).length;
  const lost = lostBefore.length + lostAfter;
  const isWhole = lost === 0 && strays === 0 && sent === frames.length;
  const isEqual =
    mismatches.length + ran.state.length === 0 && misdirected === 0;
  const cores = counted(fates, ({ run }) => run.cpu);
  const interfaces = result.ports.map(({ name, ifindex }, port) => ({
    name,
    port: subject.ports[port]?.name,
    queues: counted(
      fates.filter(({ run }) => run.ifindex === ifindex),
      ({ run }) => run.queue,
    ),
    driver: result.counters[port] ?? {},
  }));
  return {
    exit: isWhole && isEqual && !ran.isCancelled ? 0 : 1,
    json: {
      schema: "divisi.run/1",
      program: program.name,
      from: subject.path,
      engine: "kernel",
      path: "veth, native XDP",
      packets: sent,
      verdicts,
      cores,
      interfaces,
      compared,
      clock,
      mismatches: mismatches.length,
      differing: mismatches.slice(0, 20),
      stateDifferences: ran.state.length,
      differingState: ran.state.slice(0, 20),
      misdirected,
      lost: { before: lostBefore.length, after: lostAfter },
      failedRedirects: failed,
      strays,
      cancelled: ran.isCancelled,
      packetsPerSecond: Math.round(sent / seconds),
    },
    text: [
      `${program.name} on ${names.join(", ")}: ${count(sent)} packets through real XDP`,
      ...(ran.isCancelled
        ? [`stopped after ${count(sent)} of ${count(frames.length)}`]
        : []),
      ...Object.entries(verdicts).map(
        ([name, packets]) => `  ${name.padEnd(10)} ${count(packets)}`,
      ),
      ...interfaces.flatMap(({ name, queues }) =>
        queues.map(
          ({ packets }, queue) =>
            `  ${name} queue ${queue}: ${count(packets)} packets`,
        ),
      ),
      ...cores.map(
        ({ packets }, core) => `  core ${core}     ${count(packets)} packets`,
      ),
      comparison(ran),
      ...mismatches
        .slice(0, 3)
        .map(
          ({ packet, what, want, have }) =>
            `  packet ${packet}: ${what} ${shortened(have)}, wanted ${shortened(want)}`,
        ),
      ...(ran.state.length === 0
        ? []
        : [
            `no: ${count(ran.state.length)} cells of the maps differ at the end`,
          ]),
      ...(lost === 0
        ? []
        : [
            `no: ${count(lostBefore.length)} lost before the program, ${count(lostAfter)} behind it`,
          ]),
      ...(strays === 0
        ? []
        : [`no: ${count(strays)} frames were none of ours`]),
      ...(misdirected === 0
        ? []
        : [`no: ${count(misdirected)} on another queue than the plan's`]),
      ...(failed === 0 ? [] : [`  ${count(failed)} redirects led nowhere`]),
    ].join("\n"),
  };
}

function comparison({ clock, compared, mismatches }: Ran): string {
  if (clock === "not comparable")
    return "  not compared: the program takes random numbers";
  const how =
    clock === "an input" ? ", its clock and routes taken from the run" : "";
  return mismatches.length === 0
    ? `equal to the portable engine: ${count(compared)} compared${how}`
    : `no: ${count(mismatches.length)} of ${count(compared)} differ from the portable engine${how}`;
}

function shortened(text: string): string {
  return text.length > 28 ? `${text.slice(0, 28)}…` : text || "nowhere";
}

function counted(
  fates: readonly Fate[],
  numberOf: (fate: Fate) => number,
): { packets: number }[] {
  const counts: { packets: number }[] = [];
  for (const fate of fates) {
    const number = numberOf(fate);
    while (counts.length <= number) counts.push({ packets: 0 });
    const slot = counts[number];
    if (slot !== undefined) slot.packets++;
  }
  return counts;
}

function count(value: number): string {
  return value.toLocaleString("en");
}

/** Frames as they were seen again, dropped ones as they came; in the trace's order. */
async function writeOut(
  words: Words,
  trace: readonly TracePacket[],
  {
    subject,
    program,
    result,
  }: {
    readonly subject: IfaceSubject;
    readonly program: ProgramSpec;
    readonly result: WireRunResult;
  },
): Promise<void> {
  const output = valueOf(words, "out");
  if (output === undefined) return;
  const fates = new Map(result.fates.map((fate) => [fate.frame, fate]));
  const packets = trace.slice(0, result.sent).map((packet, at) => {
    const data = fates.get(at)?.sightings[0]?.frame ?? packet.data;
    return { ...packet, data, wireLength: data.length };
  });
  const bytes = pcapngBytes(packets, {
    application: "divisi",
    interfaces: subject.ports.map(({ name }) => name),
    comment: (_packet, at) => {
      const fate = fates.get(at);
      return fate === undefined ? "lost" : verdictName(program, fate.verdict);
    },
  });
  if (output === "-") await writeData(bytes);
  else writeWhole(output, bytes);
}
