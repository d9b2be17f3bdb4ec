/**
 * A capacity over cores: the whole, not a cell more or less (docs/decisions/0011).
 *
 *   core c has floor(capacity / cores), and one more if c < capacity mod cores;
 *   its first index is the sum of what the cores before it have.
 */
import { Bug } from "../../../base/index.ts";

export function capacitiesOf(
  capacity: number,
  cores: number,
): readonly number[] {
  const { least, more } = evenSplit(capacity, cores);
  return Array.from({ length: cores }, (_, core) =>
    core < more ? least + 1 : least,
  );
}

/** Each core has `least`, and the first `more` cores one more. */
export function evenSplit(
  capacity: number,
  cores: number,
): { readonly least: number; readonly more: number } {
  if (!Number.isInteger(cores) || cores < 1 || capacity < 0)
    throw new Bug(`${capacity} over ${cores} cores`);
  return { least: Math.floor(capacity / cores), more: capacity % cores };
}

/** The first index of each core. */
export function firstIndices(capacities: readonly number[]): readonly number[] {
  let next = 0;
  return capacities.map((capacity) => {
    const first = next;
    next += capacity;
    return first;
  });
}
