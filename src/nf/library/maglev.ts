/**
 * `maglev`: for each of `height` slots, all backends in an order of preference.
 * Flows hash to slots; the first live backend of a slot's list serves it, so that
 * the loss of one backend moves its own flows only. Written in the subset.
 *
 * Backend b proposes slots (offset + step × j) mod height for j = 0, 1, … with
 * offset = 31 b mod height and step = 1 + b mod (height − 1); in the order of j,
 * then b, it is appended to the list of the slot. A prime height gives every list
 * every backend once.
 *
 * Representation: an ARRAY of height × backends u32, slot after slot, which never
 * changes. Its contents are initial contents: the object needs them loaded.
 *
 * Source: Eisenbud and others, "Maglev", NSDI 2016, section 3.4.
 */
import { InputError } from "../../base/index.ts";
import { ArrayMap } from "./array-map.ts";
import { checkCapacity, type Part } from "./declaration.ts";
import { u32 } from "./scalar.ts";

export interface MaglevOptions {
  /** Slots; a prime. */
  readonly height: number;
  readonly backends: number;
}

export class Maglev {
  readonly kind = "composite";
  readonly height: number;
  readonly backends: number;
  readonly table: ArrayMap<typeof u32>;
  readonly options: MaglevOptions;

  constructor(options: MaglevOptions) {
    const { height, backends } = options;
    checkCapacity("maglev", height * backends);
    if (!isPrime(height))
      throw new InputError(`maglev with a height of ${height}`, {
        code: "nf-maglev-height",
        fix: "give a prime, such as 97",
      });
    this.height = height;
    this.backends = backends;
    this.options = options;
    this.table = new ArrayMap({
      value: u32,
      capacity: height * backends,
      initial: preferences(height, backends),
    });
  }

  /** The backend in place `rank` (proved to be less than `backends`) of the list. */
  backend(hash: number, rank: number): number {
    return this.table.at((hash % this.height) * this.backends + rank).value;
  }

  parts(name: string): readonly Part[] {
    return [{ name, declaration: this }, ...this.table.parts(name)];
  }

  renew(): Maglev {
    return new Maglev(this.options);
  }
}

/** All backends in an order of preference, for each slot. */
export function maglev(options: MaglevOptions): Maglev {
  return new Maglev(options);
}

function preferences(
  height: number,
  backends: number,
): readonly (readonly [number, number])[] {
  const lengths = Array.from({ length: height }, () => 0);
  const entries: (readonly [number, number])[] = [];
  for (let j = 0; j < height; j++)
    for (let b = 0; b < backends; b++) {
      const step = 1 + (b % (height - 1));
      const slot = (((31 * b) % height) + step * j) % height;
      const rank = lengths[slot] ?? 0;
      lengths[slot] = rank + 1;
      entries.push([slot * backends + rank, b]);
    }
  return entries;
}

function isPrime(value: number): boolean {
  if (!Number.isInteger(value) || value < 2) return false;
  for (let by = 2; by * by <= value; by++) if (value % by === 0) return false;
  return true;
}
