/** Why an object has no kernel lock, for who wrote the program: place and edit. */
import { printPlace, type Place } from "../../../base/index.ts";
import { placeOf, type FunctionSpec } from "../../../isa/index.ts";
import type { LockCode, NoLock } from "./critical-section.ts";

export interface LockRefusal {
  readonly kind: "refused";
  readonly code: LockCode;
  readonly object: string;
  readonly at: Place;
  readonly text: string;
  /** What the user may change. */
  readonly edit: string;
}

export function lockRefusal(
  object: string,
  fn: FunctionSpec,
  { code, at, text }: NoLock,
): LockRefusal {
  const place = placeOf(fn, at);
  return {
    kind: "refused",
    code,
    object,
    at: place,
    text: `${printPlace(place)}: ${text}`,
    edit: edits[code],
  };
}

// prettier-ignore
const edits: Readonly<Record<LockCode, string>> = {
  "R-lock-helper": "read and change a value without a helper call in between, insert a key only where its look-up missed, and mark an entry as free in place of deleting it",
  "R-lock-two": "keep what belongs together in one value under one key",
  "R-lock-shape": "use a value on one way only, from its look-up to its last change",
  "R-lock-pointer": "use a value where it was looked up, at constant offsets",
  "R-lock-clock": "keep no times in a value that packets of several cores share",
  "R-lock-type": "keep it in an array or hash map whose types the object's BTF names",
};
