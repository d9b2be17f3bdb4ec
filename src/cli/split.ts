/** `divisi split`: analyse, choose, generate, check, write DIR. */
import { availableParallelism } from "node:os";
import process from "node:process";
import { printPlace, printable } from "../base/index.ts";
import type { ProgramSpec } from "../isa/index.ts";
import { balanced, demandOf, generate, type Artifact } from "../pipeline.ts";
import { dispatcherOf } from "../dispatched.ts";
import { readObject } from "../object/index.ts";
import { countedPlaces, type Tested } from "../proof/index.ts";
import {
  emittedFile,
  grades,
  tableLayouts,
  planJson,
  printPlan,
  portOfTrace,
  weaker,
  type Grade,
  type PlanOptions,
  type StrategyName,
} from "../strategy/index.ts";
import type { TracePacket } from "../traffic/index.ts";
import { measureTraffic } from "../measured-traffic.ts";
import { check, coveringPackets, toInputs } from "../trial.ts";
import type { Words } from "./command.ts";
import { artifactFiles } from "./artifact-files.ts";
import { checkTarget, writeDirectory } from "./files.ts";
import { contentsOf, loadAnalysed, mustBeMap, profileOf } from "./input.ts";
import { guardedPart } from "./guarded-part.ts";
import { objectFile } from "./object-file.ts";
import { Progress, say, type Answer, type Rendering } from "./render.ts";
import { splitText } from "./split-text.ts";
import { strategyNamed } from "./strategy-words.ts";
import { trafficInput } from "./traffic-input.ts";
import { askVerifier } from "./verifier.ts";
import { wrapped } from "./wrap.ts";
import {
  choiceOf,
  countOf,
  isSet,
  seedOf,
  usage,
  valueOf,
  valuesOf,
} from "./words.ts";

/** Packets of a trace that a check takes at most: they are held in memory. */
const mostPackets = 1_000_000;

export async function split(
  words: Words,
  rendering: Rendering,
): Promise<Answer> {
  const [path = ""] = words.args;
  const directory = valueOf(words, "output");
  if (directory === undefined)
    throw usage("-o DIR is missing", "divisi split PROG -o DIR");
  const cores = coresOf(words);
  const seed = seedOf(words);
  const profile = profileOf(words);
  checkTarget(directory, isSet(words, "force"));
  const file = await objectFile(path, words);
  const analysed = loadAnalysed(file, words);
  const traffic = trafficInput(
    words,
    analysed.ports.map(({ name }) => name),
    analysed.report,
  );
  const contents = contentsOf(words, analysed.program, file.contents);
  const accepted = choiceOf(words, "grade", grades);
  const dispatch = choiceOf(words, "dispatch", ["nic", "software"] as const);
  const movable = isSet(words, "rebalance");
  if (movable && dispatch !== "software")
    throw usage(
      "--rebalance is for --dispatch software: a NIC's table is not ours to fence",
      "divisi run DIR --rebalance shows it for the portable engine without the flag",
    );
  const layout = choiceOf(words, "layout", tableLayouts);
  // A trace that nobody named says nothing about the user's packets.
  const isGiven = valuesOf(words, "trace").length > 0 && !traffic.coverageOnly;
  const given = isGiven ? await readTrace(traffic.read()) : undefined;
  const options: PlanOptions = {
    cores,
    profile,
    ...(given === undefined || given.trace.length === 0
      ? {}
      : {
          traffic: measureTraffic({
            program: analysed.program,
            report: analysed.report,
            ports: analysed.ports,
            packets: toInputs(given.trace, analysed.ports),
            ...(contents === undefined ? {} : { contents: contents.contents }),
            seed,
          }),
        }),
    ports: analysed.ports,
    seed,
    guards: ["lock", "transaction"],
    ...forced(words, analysed.program),
    ...(accepted === undefined ? {} : { grade: accepted }),
    ...(dispatch === undefined ? {} : { dispatch }),
    ...(layout === undefined ? {} : { layout }),
    ...(movable ? { movable } : {}),
    filled: Object.keys(contents?.contents ?? {}),
  };
  const generated = generate(analysed, profile, options);
  const refusal = refusedAnswer(generated, words, accepted);
  if (refusal !== undefined) return refusal;

  // First: what the kernel rejects is not worth a check.
  const verifier =
    emittedFile(generated.plan) === "core.o"
      ? await askVerifier(generated.bytes, generated.emitted)
      : "not asked: portable.o is for the portable engine alone";
  const { trace, isCut } = given ?? (await readTrace(traffic.read()));
  const portOf = portOfTrace(analysed.ports);
  const artifact = isGiven
    ? balanced(
        generated,
        profile,
        trace.map(({ data, port }) => ({ frame: data, port: portOf(port) })),
      )
    : generated;
  if (isCut)
    say(
      `only the first ${mostPackets.toLocaleString("en")} packets of the trace are checked`,
    );
  const progress = new Progress("checking", rendering);
  const cover = coveringPackets({
    program: analysed.program,
    report: analysed.report,
    ports: analysed.ports,
    cpus: artifact.plan.cores,
    seeds: toInputs(trace, analysed.ports).slice(0, 32),
    seed,
    ...(contents === undefined ? {} : { contents: contents.contents }),
  });
  const guarded = guardedPart(analysed, artifact, { cover, trace, seed });
  const tested = check({
    cover,
    sequential: analysed.program,
    emitted: artifact.emitted,
    report: analysed.report,
    strategies: new Map(
      artifact.plan.objects.map((part) => [part.object, part.strategy]),
    ),
    parts: artifact.plan.objects,
    ports: analysed.ports,
    cores: artifact.plan.cores,
    setup: artifact.setup,
    dispatcher: dispatcherOf(readObject(artifact.bytes, "core.o")),
    demand: demandOf(artifact),
    trace: traffic.coverageOnly ? [] : trace,
    full: true,
    ...(contents === undefined ? {} : { contents: contents.contents }),
    seed,
    onProgress: (done, total) => progress.update(done, total),
  });
  progress.finish();
  const { list, plan, certificate } = artifactFiles({
    file,
    analysed,
    artifact,
    tested,
    ...(guarded === undefined ? {} : { guarded }),
    verifier,
    ...(contents === undefined ? {} : { mapsFile: contents.text }),
    command: process.argv.slice(2),
    traffic: traffic.words,
    userWrites: valuesOf(words, "user-writes"),
    seed,
  });
  const no = [
    ...reasonsAgainst(tested, isSet(words, "allow-untested")),
    ...(guarded?.first ?? []).map((text) => `not equal: ${text}`),
  ];
  if (no.length === 0) writeDirectory(directory, list);
  return {
    exit: no.length === 0 ? 0 : 1,
    json: {
      ...plan,
      schema: "divisi.split/1",
      reasons: no,
      certificate,
      files: no.length === 0 ? list.map((file) => file.path) : [],
    },
    text: splitText({
      directory,
      program: analysed.program,
      artifact,
      certificate,
      explain: isSet(words, "explain"),
      no,
      files: list.map((file) => file.path),
    }),
  };
}

/** Why the answer is no; empty: yes. */
export function reasonsAgainst(
  tested: Tested,
  allowUntested: boolean,
): string[] {
  const reasons: string[] = [];
  if (tested.mismatches > 0)
    reasons.push(
      `not equal: ${tested.mismatches.toLocaleString("en")} mismatches; first: ${tested.first[0]?.text ?? ""}`,
    );
  if (tested.untested.length > 0 && !allowUntested)
    reasons.push(
      `untested: no packet reached ${countedPlaces(tested.untested).join(", ")}; ${remedy(tested)}; --allow-untested accepts it as it is`,
    );
  return reasons;
}

/**
 * The program's own covering packets grow from the trace's first; without a trace
 * they are searched from the program alone, which may reach what they do not.
 */
function remedy({ episodes }: Tested): string {
  const isTraced = episodes.some(({ name }) => name === "trace");
  return isTraced
    ? "--trace gen:coverage or a capture of such packets may reach it"
    : "a capture of such packets may reach it";
}

/** This machine's cores, and two at least: one core has nothing to divide. */
function coresOf(words: Words): number {
  return (
    countOf(words, "cores", [1, 1024]) ?? Math.max(2, availableParallelism())
  );
}

function forced(
  words: Words,
  program: ProgramSpec,
): Pick<PlanOptions, "force"> {
  const given = valuesOf(words, "strategy");
  if (given.length === 0) return {};
  const objects: Record<string, StrategyName> = {};
  let all: StrategyName | undefined;
  for (const word of given) {
    const at = word.lastIndexOf("=");
    const name = strategyNamed(word.slice(at + 1));
    if (at < 0) all = name;
    else {
      mustBeMap("--strategy", word.slice(0, at), program);
      objects[word.slice(0, at)] = name;
    }
  }
  if (all !== undefined && Object.keys(objects).length > 0)
    throw usage("--strategy is given for all and for one object");
  return { force: all ?? objects };
}

/** A "no" that needs no check: forced and refused, or weaker than was asked for. */
function refusedAnswer(
  { plan }: Artifact,
  words: Words,
  accepted: Grade | undefined,
): Answer | undefined {
  const reasons: string[] = [];
  if (plan.fallback !== undefined) {
    const isForced = valuesOf(words, "strategy").length > 0;
    if (isForced || isSet(words, "no-fallback")) reasons.push(plan.fallback);
  }
  if (
    accepted !== undefined &&
    weaker(accepted, plan.grade) !== accepted &&
    plan.grade !== accepted
  )
    reasons.push(`the grade is ${plan.grade}, ${accepted} was asked for`);
  if (reasons.length === 0) return undefined;
  // What a refusal says with its place is not said without it, too.
  const refused = new Set(plan.refusals.map(({ text }) => text));
  return {
    exit: 1,
    json: { schema: "divisi.split/1", ...planJson(plan), reasons, files: [] },
    text: isSet(words, "explain")
      ? [
          ...reasons.flatMap((reason) => wrapped(`no: ${reason}`, 4)),
          "",
          printPlan(plan, { explain: true }).trimEnd(),
        ].join("\n")
      : [
          ...reasons.filter((reason) => !refused.has(reason)),
          ...plan.refusals
            .filter(({ code }) => code !== "R-family")
            .flatMap(({ code, text, at, edit }) => [
              `no: ${at === undefined ? "" : `${printPlace(at)}: `}${text} [${code}]`,
              `  ${edit}`,
            ]),
        ]
          .map(printable)
          .join("\n"),
  };
}

export async function readTrace(
  source: Iterable<TracePacket> | AsyncIterable<TracePacket>,
): Promise<{ trace: TracePacket[]; isCut: boolean }> {
  const trace: TracePacket[] = [];
  for await (const packet of source) {
    if (trace.length === mostPackets) return { trace, isCut: true };
    trace.push(packet);
  }
  return { trace, isCut: false };
}
