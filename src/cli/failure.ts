/**
 * From an error to an exit code and its words (CLI.md: exit codes). One printer
 * for all commands; what is none of our four classes is a bug of ours.
 */
import {
  InputError,
  UnsupportedError,
  VerifierError,
  printable,
  type SourceDiagnostic,
} from "../base/index.ts";
import { codeFrame, diagnosticJson } from "./code-frame.ts";
import { writeReport, type BugReport } from "./report-file.ts";
import { renderJson, say, type Rendering } from "./render.ts";

interface Failure {
  readonly code: string;
  readonly exit: 2 | 3 | 4 | 5 | 70;
  readonly text: string;
  readonly file?: string;
  readonly offset?: number;
  readonly line?: number;
  readonly fix?: string;
  /** Of a text that does not compile: all that is wrong with it. */
  readonly diagnostics?: readonly SourceDiagnostic[];
}

/** Describes the error; a bug is also written to a report file. */
function describe(
  error: unknown,
  verbose: boolean,
  capture: BugReport["capture"],
): Failure {
  if (error instanceof InputError)
    return {
      code: error.code,
      exit: error.kind === "usage" ? 2 : 3,
      text: error.message,
      ...(error.file === undefined ? {} : { file: error.file }),
      ...(error.offset === undefined ? {} : { offset: error.offset }),
      ...(error.line === undefined ? {} : { line: error.line }),
      ...(error.fix === undefined ? {} : { fix: error.fix }),
      ...(error.diagnostics.length === 0
        ? {}
        : { diagnostics: error.diagnostics }),
    };
  if (error instanceof UnsupportedError)
    return {
      code: "unsupported",
      exit: 4,
      text:
        error.firstKernel === undefined
          ? error.message
          : `${error.message} (first kernel that has it: ${error.firstKernel})`,
      ...(error.fix === undefined ? {} : { fix: error.fix }),
    };
  if (error instanceof VerifierError)
    return {
      code: "verifier-rejected",
      exit: 5,
      text: verbose ? `${error.message}\n${error.log}` : error.message,
      ...(error.file === undefined ? {} : { file: error.file }),
      ...(error.line === undefined ? {} : { line: error.line }),
      ...(verbose ? {} : { fix: "-v shows the verifier's log" }),
    };
  const detail =
    error instanceof Error ? (error.stack ?? error.message) : String(error);
  const title = error instanceof Error ? error.message : String(error);
  const report = { title, detail, ...(capture && { capture }) };
  return { code: "bug", exit: 70, text: writeReport(report) };
}

/** Tells the user; returns the exit code. */
export function renderFailure(
  error: unknown,
  rendering: Rendering,
  capture?: BugReport["capture"],
): number {
  const failure = describe(error, rendering.verbosity > 0, capture);
  if (rendering.json) {
    const { diagnostics, ...error } = failure;
    renderJson({
      schema: "divisi.error/1",
      error: {
        ...error,
        ...(diagnostics && { diagnostics: diagnostics.map(diagnosticJson) }),
      },
    });
    return failure.exit;
  }
  if (rendering.quiet) return failure.exit;
  for (const diagnostic of failure.diagnostics ?? [])
    say(`${codeFrame(diagnostic)}\n`);
  if (failure.exit === 70) say(failure.text);
  else say(`divisi: ${placed(failure)}`);
  if (failure.fix !== undefined) say(`  ${failure.fix}`);
  return failure.exit;
}

function placed(failure: Failure): string {
  const { code, file, offset, line } = failure;
  // The verifier's summary begins with its place.
  if (code === "verifier-rejected") return failure.text;
  const at = [
    ...(file === undefined ? [] : [printable(file)]),
    ...(line === undefined ? [] : [`line ${line}`]),
    ...(offset === undefined ? [] : [`offset ${offset}`]),
  ];
  return at.length === 0 ? failure.text : `${at.join(", ")}: ${failure.text}`;
}
