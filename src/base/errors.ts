/**
 * The four ways in which divisi fails; the command line maps each to one exit
 * code. "No" is never an error: a refusal is a value (see strategy).
 *
 * - InputError: the user's words (exit 2) or the user's file (exit 3) are bad.
 * - UnsupportedError: not possible on this machine (exit 4).
 * - VerifierError: the kernel verifier rejected a program (exit 5).
 * - Bug: ours (exit 70), as is every error that is none of these four.
 */

import type { SourceDiagnostic } from "./diagnostic.ts";

/** Where in an input a fault lies. Offsets are in bytes, lines count from 1. */
export interface FaultPlace {
  readonly file?: string;
  readonly offset?: number;
  readonly line?: number;
}

export interface InputErrorOptions extends FaultPlace {
  /** Stable code, e.g. `elf-truncated`. */
  readonly code: string;
  /** `usage`: wrong words on the command line (exit 2). Default `input` (3). */
  readonly kind?: "usage" | "input";
  /** What the user may do about it, as one sentence. */
  readonly fix?: string;
  /** All faults of a text, where one sentence cannot name them. */
  readonly diagnostics?: readonly SourceDiagnostic[];
  readonly cause?: unknown;
}

/** The input is malformed or unusable: names file, place and what was expected. */
export class InputError extends Error {
  override readonly name = "InputError";
  readonly code: string;
  readonly kind: "usage" | "input";
  readonly file: string | undefined;
  readonly offset: number | undefined;
  readonly line: number | undefined;
  readonly fix: string | undefined;
  readonly diagnostics: readonly SourceDiagnostic[];

  constructor(text: string, options: InputErrorOptions) {
    super(text, options.cause === undefined ? {} : { cause: options.cause });
    this.code = options.code;
    this.kind = options.kind ?? "input";
    this.file = options.file;
    this.offset = options.offset;
    this.line = options.line;
    this.fix = options.fix;
    this.diagnostics = options.diagnostics ?? [];
  }

  /** The same error with the file named, for readers that saw bytes only. */
  inFile(file: string): InputError {
    if (this.file !== undefined) return this;
    return new InputError(this.message, {
      code: this.code,
      kind: this.kind,
      file,
      ...(this.offset === undefined ? {} : { offset: this.offset }),
      ...(this.line === undefined ? {} : { line: this.line }),
      ...(this.fix === undefined ? {} : { fix: this.fix }),
      diagnostics: this.diagnostics,
      cause: this,
    });
  }
}

export interface UnsupportedOptions {
  /** What is missing, e.g. `map type arena`, `helper bpf_fib_lookup`. */
  readonly feature: string;
  /** First Linux release that has it, e.g. `6.9`. */
  readonly firstKernel?: string;
  readonly fix?: string;
  readonly cause?: unknown;
}

/** Not possible here: a privilege, kernel feature, tool or engine feature lacks. */
export class UnsupportedError extends Error {
  override readonly name = "UnsupportedError";
  readonly feature: string;
  readonly firstKernel: string | undefined;
  readonly fix: string | undefined;

  constructor(text: string, options: UnsupportedOptions) {
    super(text, options.cause === undefined ? {} : { cause: options.cause });
    this.feature = options.feature;
    this.firstKernel = options.firstKernel;
    this.fix = options.fix;
  }
}

/** The kernel verifier said no: `message` is the summary, `log` the whole log. */
export class VerifierError extends Error {
  override readonly name = "VerifierError";
  readonly log: string;
  /** In the user's source; `message` has it in front already. */
  readonly file: string | undefined;
  readonly line: number | undefined;

  constructor(
    summary: string,
    log: string,
    place: Pick<FaultPlace, "file" | "line"> = {},
  ) {
    super(summary);
    this.log = log;
    this.file = place.file;
    this.line = place.line;
  }
}

/** A broken promise of our own. */
export class Bug extends Error {
  override readonly name = "Bug";
}

/** For the end of an exhaustive switch: a value that the types exclude is a Bug. */
export function unreachable(value: never): never {
  throw new Bug(`unexpected value ${JSON.stringify(value)}`);
}
