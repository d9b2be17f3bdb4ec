/**
 * A message about the user's program, as data. Made by a named function in the
 * room that knows; rendered by `cli` alone.
 */
import type { Place } from "./place.ts";

export interface Diagnostic {
  /** Stable, e.g. `lost-update`. */
  readonly code: string;
  readonly severity: "error" | "warning" | "note";
  readonly message: string;
  readonly at?: Place;
  readonly notes?: readonly string[];
}

/**
 * A message about a text that the user wrote, with its place there: what a
 * compiler says. Lines and columns count from 1, columns in UTF-16 units.
 */
export interface SourceDiagnostic {
  /** Stable, e.g. `nf-recursion`. */
  readonly code: string;
  readonly severity: "error" | "warning";
  readonly message: string;
  /** What to write instead. */
  readonly fix?: string;
  readonly file: string;
  readonly start: { readonly line: number; readonly column: number };
  /** Behind the last character; on the line of `start` or a later one. */
  readonly end: { readonly line: number; readonly column: number };
  /** The line of `start`, whole. */
  readonly text: string;
}
