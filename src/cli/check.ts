/** `divisi check`: the differential run of a directory that `split` wrote. */
import { demandOf, generate, reread } from "../pipeline.ts";
import { check as differential } from "../trial.ts";
import type { Words } from "./command.ts";
import { readSplitDirectory } from "./directory.ts";
import { nicProfile } from "../rss/index.ts";
import { contentsOf } from "./input.ts";
import { Progress, type Answer, type Rendering } from "./render.ts";
import { readTrace, reasonsAgainst } from "./split.ts";
import { testedLines } from "./split-text.ts";
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
    force: Object.fromEntries(
      plan.objects.map(({ name, strategy }) => [name, strategyNamed(strategy)]),
    ),
  });
  const { trace } = await readTrace(traffic.read());
  const engine = choiceOf(words, "engine", ["wasm", "interp"] as const);
  const progress = new Progress("checking", rendering);
  const tested = differential({
    sequential: analysed.program,
    emitted: reread(directory.core, analysed.program),
    report: analysed.report,
    strategies: new Map(
      plan.objects.map(({ name, strategy }) => [name, strategy]),
    ),
    ports: plan.ports,
    cores: plan.cores,
    setup: plan.setup,
    demand: demandOf(again),
    trace: traffic.coverageOnly ? [] : trace,
    ...(contents === undefined ? {} : { contents }),
    seed: plan.seed,
    ...(engine === undefined ? {} : { engine }),
    onProgress: (done, total) => progress.update(done, total),
  });
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
    },
    text: [
      reasons.length === 0
        ? `equal, grade ${plan.grade}`
        : reasons.map((reason) => `no: ${reason}`).join("\n"),
      ...testedLines(tested),
      ...(directory.changed.length > 0
        ? [`changed since the certificate: ${directory.changed.join(", ")}`]
        : []),
    ].join("\n"),
  };
}
