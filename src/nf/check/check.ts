/**
 * The checker: is the program in the subset, and do its numbers stay where BPF can
 * hold them? Answers every fault at once, and the range of every number that the
 * compiler may count on.
 *
 * Three sources, in this order for one place: TypeScript's own errors in our
 * words, the syntax of the subset, and the walk over every path.
 */
import type { LoadFailure, LoadResult, NfDiagnostic } from "../front/loaded.ts";
import type { ts } from "../front/typescript-api.ts";
import { withinStack } from "../front/too-deep.ts";
import { bind } from "./binding.ts";
import { call, runBody } from "./calls.ts";
import { branch } from "./conditions.ts";
import { emptyEnvironment } from "./environment.ts";
import { evaluate } from "./evaluate.ts";
import { evaluateAs } from "./fits.ts";
import { transfers, type Interval, type Transfers } from "./interval.ts";
import { rules } from "./rules.ts";
import { checkStateNames } from "./state-names.ts";
import { checkSyntax } from "./syntax.ts";
import { explainTypescript } from "./typescript-errors.ts";
import { TooComplex, Walk, type Doors, type Frame } from "./walk.ts";
import { diagnosticAt } from "../front/diagnostics.ts";

export interface CheckedNf {
  /** Empty of errors: the program may be lowered. */
  readonly diagnostics: readonly NfDiagnostic[];
  readonly isCorrect: boolean;
  readonly facts: Facts;
}

export interface Facts {
  /**
   * Where the value of a number or bigint expression lies, over all calls and
   * rounds; undefined where nothing gets there, or nothing is known.
   */
  readonly rangeOf: (node: ts.Node) => Interval | undefined;
}

export interface CheckOptions {
  /** For tests of the checker itself. */
  readonly transfers?: Transfers;
  readonly steps?: number;
}

const doors: Doors = { evaluate, branch, call, evaluateAs };
const mostSteps = 300_000;

export function checkNf(
  loaded: LoadResult,
  options: CheckOptions = {},
): CheckedNf {
  const [file] =
    loaded.kind === "loaded" ? loaded.nf.userFiles : loaded.userFiles;
  return withinStack(file?.fileName, () => check(loaded, options));
}

function check(loaded: LoadResult, options: CheckOptions): CheckedNf {
  const found: NfDiagnostic[] = [
    ...explainTypescript(loaded),
    ...checkSyntax(loaded),
    ...(loaded.kind === "loaded" ? checkStateNames(loaded.nf) : []),
  ];
  const ranges =
    loaded.kind === "loaded"
      ? walkHandle(loaded, options, found)
      : new Map<ts.Node, Interval>();
  const diagnostics = inOrder(found, loaded);
  return {
    diagnostics,
    isCorrect: !diagnostics.some((one) => one.severity === "error"),
    facts: { rangeOf: (node) => ranges.get(node) },
  };
}

function walkHandle(
  { nf }: Exclude<LoadResult, LoadFailure>,
  options: CheckOptions,
  found: NfDiagnostic[],
): ReadonlyMap<ts.Node, Interval> {
  const walk = new Walk({
    nf,
    transfers: options.transfers ?? transfers,
    doors,
    steps: options.steps ?? mostSteps,
    hasSyntaxErrors: found.length > 0,
  });
  const frame: Frame = {
    scope: nf.handleScope,
    fn: nf.handle,
    caller: undefined,
    site: undefined,
    returns: [],
    exits: [],
  };
  const env = emptyEnvironment();
  const [pkt, ctx] = nf.handle.parameters;
  if (pkt !== undefined) bind(walk, pkt.name, { kind: "packet" }, env, frame);
  if (ctx !== undefined) bind(walk, ctx.name, { kind: "context" }, env, frame);
  try {
    runBody(walk, env, frame);
  } catch (error) {
    if (!(error instanceof TooComplex)) throw error;
    const { message, fix } = rules["nf-too-complex"];
    found.push(
      diagnosticAt(nf.handle.name ?? nf.handle, {
        code: "nf-too-complex",
        message,
        fix,
      }),
    );
  }
  found.push(...walk.sink.said.values());
  return walk.sink.ranges;
}

/**
 * By file and line. Where two sources speak of one place, the first is kept: what
 * is no TypeScript is not looked at more closely.
 */
function inOrder(
  found: readonly NfDiagnostic[],
  loaded: LoadResult,
): readonly NfDiagnostic[] {
  const files = (
    loaded.kind === "loaded" ? loaded.nf.userFiles : loaded.userFiles
  ).map((file) => file.fileName);
  const kept = new Map<string, NfDiagnostic>();
  for (const one of found) {
    const place = `${one.file}:${one.start.line}:${one.start.column}`;
    const known = kept.get(place);
    if (known === undefined || known.code === "nf-typescript")
      kept.set(place, one);
  }
  // What the definition lacks, in our words and not in TypeScript's as well.
  const lines = new Set(
    found
      .filter((one) => one.code === "nf-definition")
      .map((one) => `${one.file}:${one.start.line}`),
  );
  for (const [place, one] of kept)
    if (
      one.code === "nf-typescript" &&
      lines.has(`${one.file}:${one.start.line}`)
    )
      kept.delete(place);
  const order = (one: NfDiagnostic): number =>
    (files.indexOf(one.file) + 1) * 1e9 +
    one.start.line * 1e4 +
    one.start.column;
  return [...kept.values()].sort((left, right) => order(left) - order(right));
}
