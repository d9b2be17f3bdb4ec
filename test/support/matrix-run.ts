/** Runs cells of the matrix, and says which are not as they should be. */
import { grades, type Plan, type StrategyName } from "#strategy";
import { expectedPlans } from "./expected-strategies.ts";
import {
  artifactOf,
  guardCell,
  planCell,
  planTexts,
  subjectOf,
  type Cell,
  type Language,
  type MatrixSubject,
} from "./matrix.ts";

export interface MatrixRun {
  readonly names: readonly string[];
  readonly languages: readonly Language[];
  readonly cores: readonly number[];
  readonly packets: number;
  readonly seed: number;
  readonly search: number;
  readonly plansOnly?: boolean;
  readonly settings?: readonly MatrixSubject["setting"][];
  readonly strategies?: readonly string[];
  readonly isOver?: () => boolean;
  readonly say?: (line: string) => void;
}

export interface MatrixResult {
  readonly cells: readonly Cell[];
  readonly failures: number;
  readonly texts: readonly string[];
  /** Of each subject: what four cores come to, refusals and deviations included. */
  readonly verdicts: readonly string[];
  /** The budget ended it. */
  readonly cut: boolean;
  readonly summary: string;
}

const judgedCores = 3;
const mutants = 12;

export async function runMatrix(run: MatrixRun): Promise<MatrixResult> {
  const { say = () => undefined, isOver = () => false } = run;
  const cells: Cell[] = [];
  const texts: string[] = [];
  const verdicts: string[] = [];
  const fail = (text: string): void => {
    texts.push(text);
    say(`  NOT AS IT SHOULD BE: ${text}`);
  };
  const settings = run.settings ?? (["small", "roomy"] as const);
  for (const name of run.names)
    for (const language of run.languages)
      for (const setting of settings) {
        if (isOver()) break;
        const subject = await subjectOf(name, language, setting, {
          seed: run.seed,
          packets: run.packets,
          search: run.search,
        });
        const title = `${name} in ${language}, ${setting}`;
        const { plan } = artifactOf(subject, 4);
        verdicts.push(verdictOf(plan));
        for (const text of planDifferences(subject, plan))
          fail(`${title}: ${text}`);
        if (run.plansOnly === true) continue;
        for (const cell of cellsOf(subject, run)) {
          cells.push(cell);
          say(lineOf(cell));
          for (const text of complaints(cell, setting))
            fail(`${title}, ${cell.strategy} on ${cell.cores}: ${text}`);
          if (isOver()) break;
        }
      }
  const cut = isOver();
  const packets = cells.reduce((sum, cell) => sum + cell.packets, 0);
  return {
    cells,
    failures: texts.length,
    texts,
    verdicts,
    cut,
    summary: `${cells.length} cells, ${packets.toLocaleString("en")} packets, ${texts.length} not as they should be${cut ? "; the budget ended it" : ""}`,
  };
}

/** Forced per object or for all; undefined: as the plan chooses. */
type Force = StrategyName | Readonly<Record<string, StrategyName>> | undefined;

function* cellsOf(subject: MatrixSubject, run: MatrixRun): Generator<Cell> {
  const { seed } = run;
  const wanted = (strategy: string): boolean =>
    run.strategies?.includes(strategy) ?? true;
  for (const cores of run.cores) {
    const done = new Set<string>();
    const plans: readonly (readonly [string, Force])[] = [
      ["plan", undefined],
      ["merge", "merge"],
    ];
    for (const [strategy, force] of plans) {
      if (!wanted(strategy)) continue;
      const artifact = artifactOf(subject, cores, force);
      const { plan } = artifact;
      const same = JSON.stringify(planTexts(plan));
      if (done.has(same)) continue;
      done.add(same);
      // What runs on one core of several is no parallel version; guards come below.
      if (plan.runtime.kind !== "plain") continue;
      if (cores > 1 && plan.strategy === "sequential") continue;
      // Small tables, so that all of full, free and expired is met.
      const isJudged =
        cores === judgedCores && run.search > 0 && subject.setting === "small";
      yield planCell(subject, artifact, {
        seed,
        strategy,
        cores,
        mutants: isJudged ? mutants : 0,
      });
    }
    for (const kind of ["lock", "transaction"] as const)
      if (wanted(kind) && subject.setting === "small")
        yield guardCell(subject, kind, { seed, cores });
  }
}

/** Strategy, rule and fields of each object, and the codes of what is refused or differs. */
function verdictOf(plan: Plan): string {
  const objects = Object.entries(planTexts(plan)).map((each) =>
    each.join(": "),
  );
  const refusals = plan.refusals.map(
    ({ object, strategy, code }) => `${object} not ${strategy}: ${code}`,
  );
  const deviations = plan.deviations.map(({ code }) => code);
  return [
    `${plan.strategy} ${plan.grade} ${plan.dispatch.kind} ${plan.runtime.kind}`,
    ...[objects, refusals, deviations].map((list) =>
      list.toSorted().join("; "),
    ),
  ].join("\n");
}

/** What the plan says against what the table expects. */
export function planDifferences(
  subject: MatrixSubject,
  plan = artifactOf(subject, 4).plan,
): string[] {
  const expected = expectedPlans[subject.name];
  if (expected === undefined) return ["the table has no row"];
  const have = planTexts(plan);
  const { objects, refused } = expected;
  const texts: string[] = [];
  if (grades.indexOf(plan.grade) > grades.indexOf(expected.grade))
    texts.push(`grade ${plan.grade}, the table says ${expected.grade}`);
  for (const [names, code] of Object.entries(refused ?? {})) {
    const any = names.split("|");
    const isRefused = plan.refusals.some(
      (refusal) => any.includes(refusal.object) && refusal.code === code,
    );
    if (!isRefused) texts.push(`${names} is not refused with ${code}`);
    if (any.every((name) => (have[name] ?? "").startsWith("shard")))
      texts.push(`${names} is sharded`);
  }
  for (const [object, text] of Object.entries(objects))
    if (object in have && have[object] !== text)
      texts.push(`${object} is ${have[object]}, the table says ${text}`);
  if (refused !== undefined) return texts;
  for (const [object, text] of Object.entries(have))
    if (!(object in objects) && !text.startsWith("copy"))
      texts.push(`${object} is ${text}, and the table does not know it`);
  return texts;
}

function complaints(
  cell: Cell,
  setting: MatrixSubject["setting"],
): readonly string[] {
  const texts: string[] = [];
  if (cell.mismatches > 0)
    texts.push(`${cell.mismatches} mismatches: ${cell.first.join("; ")}`);
  if (setting === "roomy" && cell.deviations > 0)
    texts.push(`${cell.deviations} deviations although there is room`);
  if (cell.strength === "weak")
    texts.push(`weak: ${cell.weaknesses.join("; ")}`);
  return texts;
}

function lineOf(cell: Cell): string {
  return [
    cell.subject.padEnd(36),
    cell.strategy.padEnd(12),
    String(cell.cores).padStart(3),
    cell.grade.padStart(12),
    String(cell.packets).padStart(8),
    String(cell.mismatches).padStart(4),
    String(cell.deviations).padStart(6),
    `  ${cell.strength}`,
  ].join("");
}
