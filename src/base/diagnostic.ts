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
