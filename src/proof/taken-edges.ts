/** Edges that runs took. A machine names a place by one object, so that noting is cheap. */
import type { Place } from "../base/index.ts";

export class TakenEdges {
  /** 1: taken, 2: fallen through, 3: both. */
  readonly #byPlace = new Map<Place, number>();

  readonly note = (at: Place, taken: boolean): void => {
    const before = this.#byPlace.get(at) ?? 0;
    const after = before | (taken ? 1 : 2);
    if (after !== before) this.#byPlace.set(at, after);
  };

  /** By `edgeName`. */
  names(): Set<string> {
    const names = new Set<string>();
    for (const [at, ways] of this.#byPlace) {
      if ((ways & 1) !== 0) names.add(edgeName(at, true));
      if ((ways & 2) !== 0) names.add(edgeName(at, false));
    }
    return names;
  }
}

/** Name of one way out of a conditional branch. */
export function edgeName(at: Place, taken: boolean): string {
  return `${at.function}+${at.instruction}:${taken ? "taken" : "fall"}`;
}
