/** Runs cells of the matrix, and says which are not as they should be. */
import { grades, type Plan } from "#strategy";
import { expectedPlans } from "./expected-strategies.ts";
import {
  artifactOf,
  guardedPart,
  planCell,
  planTexts,
  subjectOf,
  type Cell,
  type Language,
  type MatrixSubject,
} from "./matrix.ts";
import {
  coreOf,
  planGuard,
  plansOf,
  strategyKinds,
  type MatrixPlan,
  type StrategyKind,
} from "./matrix-plans.ts";
import { threadedPart } from "./matrix-threads.ts";
import { Random } from "#base";

export interface MatrixRun {
  readonly names: readonly string[];
  readonly languages: readonly Language[];
  readonly cores: readonly number[];
  readonly packets: number;
  readonly seed: number;
  readonly search: number;
  readonly plansOnly?: boolean;
  readonly settings?: readonly MatrixSubject["setting"][];
  readonly strategies?: readonly StrategyKind[];
  /** Of the subjects, those whose number is `index` modulo `of`. */
  readonly part?: { readonly index: number; readonly of: number };
  /** On real threads, instead of virtual cores. */
  readonly threads?: boolean;
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
  readonly summary: readonly string[];
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
  for (const { name, language, setting } of subjectsOf(run)) {
    if (isOver()) break;
    const subject = await subjectOf(name, language, setting, {
      seed: run.seed,
      packets: run.packets,
      // Strength is asked of small subjects.
      search: setting === "small" ? run.search : Math.min(run.search, 1000),
    });
    const title = `${name} in ${language}, ${setting}`;
    const { plan } = artifactOf(subject, 4);
    verdicts.push(verdictOf(plan));
    for (const text of planDifferences(subject, plan))
      fail(`${title}: ${text}`);
    if (run.plansOnly === true) continue;
    for await (const cell of cellsOf(subject, run)) {
      cells.push(cell);
      say(lineOf(cell));
      for (const text of complaints(cell, setting))
        fail(`${title}, ${cell.strategy} on ${cell.cores}: ${text}`);
      if (isOver()) break;
    }
  }
  const cut = isOver();
  return {
    cells,
    failures: texts.length,
    texts,
    verdicts,
    cut,
    summary: [
      ...summaries(cells),
      summaryOf(cells, texts.length) + (cut ? "; the budget ended it" : ""),
    ],
  };
}

interface SubjectName {
  readonly name: string;
  readonly language: Language;
  readonly setting: MatrixSubject["setting"];
}

function subjectsOf(run: MatrixRun): readonly SubjectName[] {
  const { part = { index: 0, of: 1 } } = run;
  const settings = run.settings ?? (["small", "roomy"] as const);
  const all = run.names.flatMap((name) =>
    run.languages.flatMap((language) =>
      settings.map((setting) => ({ name, language, setting })),
    ),
  );
  return all.filter((_, at) => at % part.of === part.index);
}

async function* cellsOf(
  subject: MatrixSubject,
  run: MatrixRun,
): AsyncGenerator<Cell> {
  const { strategies = strategyKinds } = run;
  for (const cores of run.cores)
    for (const plan of plansOf(subject, cores, (kind) =>
      strategies.includes(kind),
    ))
      if (run.threads !== true) yield cellOf(subject, plan, run);
      else if (isForThreads(subject, plan))
        yield await threadsCell(subject, plan);
}

/** Shared room is a matter of timing: where nothing is guarded, there must be enough. */
function isForThreads(
  { setting }: MatrixSubject,
  { artifact }: MatrixPlan,
): boolean {
  const { kind } = artifact.plan.runtime;
  return setting === "roomy" || kind !== "plain";
}

/** In the order of arrival, and under the guard if there is one. */
function cellOf(
  subject: MatrixSubject,
  { kind, cores, artifact }: MatrixPlan,
  { seed, search }: MatrixRun,
): Cell {
  // Small tables, so that all of full, free and expired is met.
  const isJudged =
    cores === judgedCores && search > 0 && subject.setting === "small";
  const cell = planCell(subject, artifact, {
    seed,
    strategy: kind,
    cores,
    mutants: isJudged ? mutants : 0,
  });
  const guard = planGuard(artifact, subject);
  if (guard === undefined) return cell;
  const random = new Random(seed);
  const isAnywhere = artifact.plan.requirement.conjuncts.length === 0;
  const found = guardedPart(subject, artifact, {
    seed,
    cores,
    guard,
    coreOf: isAnywhere
      ? (packets) => Uint8Array.from(packets, () => random.below(cores))
      : coreOf(artifact, subject),
  });
  return {
    ...cell,
    packets: cell.packets + found.packets,
    mismatches: cell.mismatches + found.mismatches,
    first: [...cell.first, ...found.first],
  };
}

async function threadsCell(
  subject: MatrixSubject,
  { kind, cores, artifact }: MatrixPlan,
): Promise<Cell> {
  const found = await threadedPart(subject, artifact, cores);
  return {
    subject: `${subject.name} in ${subject.language}, ${subject.setting}`,
    strategy: kind,
    cores,
    grade: artifact.plan.grade,
    deviations: 0,
    strength: "not asked",
    weaknesses: [],
    ...found,
  };
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
    if (have[object] !== text && coarsened(have[object] ?? "") !== text)
      texts.push(
        `${object} is ${have[object] ?? "not there"}, the table says ${text}`,
      );
  if (Object.keys(objects).length === 0 && plan.dispatch.kind !== "any")
    texts.push(`dispatch is ${plan.dispatch.kind}, but nothing ties packets`);
  for (const [object, text] of Object.entries(have))
    if (!(object in objects) && !text.startsWith("copy"))
      texts.push(`${object} is ${text}, and the table does not know it`);
  return texts;
}

/**
 * Rule R2 with a part of a field's bits, as with all of them: where a small sketch's hash
 * drops a bit, packets that differ in it alone may and do go to one core.
 */
function coarsened(text: string): string {
  if (!text.startsWith("shard R2")) return text;
  return text
    .split(" ")
    .map((word) => {
      const [port, fields] = word.split(":");
      if (fields === undefined) return word;
      const names = word
        .slice((port ?? "").length + 1)
        .split(",")
        .map((field) => field.replace(/\[\d+:\d+\]$|\/\d+$/, ""));
      return `${port}:${[...new Set(names)].join()}`;
    })
    .join(" ");
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

/** A line per network function and language. */
function summaries(cells: readonly Cell[]): readonly string[] {
  const groups = new Map<string, Cell[]>();
  for (const cell of cells) {
    const name = cell.subject.replace(/,.*/, "");
    const group = groups.get(name);
    if (group === undefined) groups.set(name, [cell]);
    else group.push(cell);
  }
  return [...groups].map(
    ([name, group]) => `${name.padEnd(32)} ${summaryOf(group)}`,
  );
}

function summaryOf(cells: readonly Cell[], wrong?: number): string {
  const sum = (of: (cell: Cell) => number): string =>
    cells.reduce((all, cell) => all + of(cell), 0).toLocaleString("en");
  const judged = cells.filter(({ strength }) => strength !== "not asked");
  const strong = judged.filter(({ strength }) => strength === "strong");
  return [
    `${cells.length} cells`,
    `${sum(({ packets }) => packets)} packets`,
    `${sum(({ mismatches }) => mismatches)} mismatches`,
    `${strong.length} of ${judged.length} strong`,
    ...(wrong === undefined ? [] : [`${wrong} not as they should be`]),
  ].join(", ");
}

function lineOf(cell: Cell): string {
  return [
    cell.subject.padEnd(36),
    cell.strategy.padEnd(18),
    String(cell.cores).padStart(3),
    cell.grade.padStart(12),
    String(cell.packets).padStart(8),
    String(cell.mismatches).padStart(4),
    String(cell.deviations).padStart(6),
    `  ${cell.strength}`,
  ].join("");
}
