/** `divisi check`: the differential run of a directory that `split` wrote. */
import { demandOf, generate, reread } from "../pipeline.ts";
import { check as differential, type CheckOptions } from "../trial.ts";
import { dispatcherOf } from "../dispatched.ts";
import { openKernel } from "../engine/index.ts";
import { readObject } from "../object/index.ts";
import type { Tested } from "../proof/index.ts";
import type { Words } from "./command.ts";
import { readSplitDirectory } from "./directory.ts";
import { mustRunInKernel, type PlanFile } from "./plan-file.ts";
import { nicProfile } from "../rss/index.ts";
import type { ObjectPart } from "../strategy/index.ts";
import { contentsOf } from "./input.ts";
import { Progress, type Answer, type Rendering } from "./render.ts";
import { readTrace, reasonsAgainst } from "./split.ts";
import { testedLines } from "./split-text.ts";
import { askVerifier } from "./verifier.ts";
import { strategyNamed } from "./strategy-words.ts";
import { trafficFrom } from "./traffic-input.ts";
import { choiceOf, isSet, valuesOf } from "./words.ts";

export async function check(
  words: Words,
  rendering: Rendering,
): Promise<Answer> {
  const [path = ""] = words.args;
  const directory = readSplitDirectory(path);
  const { plan, analysed } = directory;
  const given = valuesOf(words, "trace");
  const traffic = trafficFrom(
    given.length > 0 ? given : plan.traffic,
    words,
    plan.ports.map(({ name }) => name),
  );
  const contents =
    contentsOf(words, analysed.program)?.contents ?? directory.contents;
  // What the settings must serve is found anew; the settings are the directory's.
  const profile = plan.setup?.profile ?? nicProfile(plan.nic);
  const again = generate(analysed, profile, {
    cores: plan.cores,
    profile,
    ports: plan.ports,
    seed: plan.seed,
    // The directory says which maps became tables: see asWritten.
    layout: "shared",
    ...(plan.dispatch === "software" ? { dispatch: plan.dispatch } : {}),
    force: Object.fromEntries(
      plan.objects.map(({ name, strategy }) => [name, strategyNamed(strategy)]),
    ),
  });
  const { trace } = await readTrace(traffic.read());
  const engine = choiceOf(words, "engine", [
    "wasm",
    "interp",
    "kernel",
  ] as const);
  if (engine === "kernel") mustRunInKernel(plan);
  const core = directory.coreFile;
  const emitted = reread(directory.core, analysed.program, core);
  const verifier =
    engine === "kernel"
      ? await askVerifier(directory.core, analysed.program)
      : undefined;
  const kernel = engine === "kernel" ? await openKernel() : undefined;
  const object = readObject(directory.core, core);
  const { btf } = object;
  const progress = new Progress("checking", rendering);
  const options: CheckOptions = {
    sequential: analysed.program,
    emitted,
    report: analysed.report,
    strategies: new Map(
      plan.objects.map(({ name, strategy }) => [name, strategy]),
    ),
    parts: again.plan.objects.map((part) => asWritten(part, plan)),
    ports: plan.ports,
    cores: plan.cores,
    setup: plan.setup,
    dispatcher: dispatcherOf(object),
    demand: demandOf(again),
    trace: traffic.coverageOnly ? [] : trace,
    full: true,
    ...(contents === undefined ? {} : { contents }),
    seed: plan.seed,
    ...(engine === "wasm" || engine === "interp" ? { engine } : {}),
    ...(kernel === undefined
      ? {}
      : { engine: { kernel, ...(btf === undefined ? {} : { btf }) } }),
    onProgress: (done, total) => progress.update(done, total),
  };
  let tested: Tested;
  try {
    tested = differential(options);
  } finally {
    kernel?.close();
  }
  progress.finish();
  const reasons = [
    ...directory.disagreeing.map(
      (file) => `${file} does not say what plan.json says`,
    ),
    ...reasonsAgainst(tested, isSet(words, "allow-untested")),
  ];
  return {
    exit: reasons.length === 0 ? 0 : 1,
    json: {
      schema: "divisi.check/1",
      directory: path,
      grade: plan.grade,
      equal: tested.mismatches === 0 && directory.disagreeing.length === 0,
      reasons,
      changed: directory.changed,
      tested,
      ...(verifier === undefined ? {} : { verifier }),
    },
    text: [
      reasons.length === 0
        ? `equal, grade ${plan.grade}`
        : reasons.map((reason) => `no: ${reason}`).join("\n"),
      ...testedLines(tested, reasons.length > 0),
      ...(verifier === undefined ? [] : kernelLines(tested, verifier)),
      ...(directory.changed.length > 0
        ? [`changed since the certificate: ${directory.changed.join(", ")}`]
        : []),
    ].join("\n"),
  };
}

/** Tables are what split was asked for, not what a plan needs. */
function asWritten(part: ObjectPart, { objects }: PlanFile): ObjectPart {
  const written = objects.find(({ name }) => name === part.object);
  return written?.layout === "table" && written.capacities !== undefined
    ? { ...part, layout: "table", capacities: written.capacities }
    : part;
}

/** What ran in the kernel, and what of it was not the program's own. */
function kernelLines({ rewrittenCalls }: Tested, verifier: string): string[] {
  return [
    "ran on    kernel, packet by packet (BPF_PROG_TEST_RUN)",
    ...rewrittenCalls.map(
      (text, at) => `${at === 0 ? "rewritten " : "          "}${text}`,
    ),
    `verifier  ${verifier}`,
  ];
}
