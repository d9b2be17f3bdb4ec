/**
 * How a run ends early. A fault is the program's (an access outside memory, the
 * instruction budget): it unwinds to `run`, which turns it into an Outcome with
 * verdict 0. What this machine does not have (an unknown helper, a kernel symbol)
 * is an UnsupportedError and reaches the caller.
 */
import type { Place } from "../base/index.ts";

export class Fault extends Error {
  override readonly name = "Fault";
  /** Filled in by the innermost function that was running. */
  at: Place | undefined;
}

/** Throws; a value where an expression is wanted. */
export function fault(text: string): never {
  throw new Fault(text);
}
