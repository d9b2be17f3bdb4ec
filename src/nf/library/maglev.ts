/**
 * `maglev`: a flow's backend, chosen so that the loss of one backend moves its own
 * flows only, without a table. Written in the subset; it keeps nothing itself.
 *
 * Backend b proposes slots (offset + step × j) mod height for j = 0, 1, … with
 * offset = 31 b mod height and step = 1 + b mod (height − 1). A slot prefers the
 * backend that proposes it in the earliest turn j, and of those the lowest b. As
 * the height is prime, b reaches each slot in exactly one turn:
 *
 *   j = (slot − offset) × step⁻¹ mod height,  slot = hash mod height
 *
 * A network function asks each live backend for its turn and takes the least. The
 * inverse costs a loop: keep it beside the backend's address when it registers.
 *
 * Source: Eisenbud and others, "Maglev", NSDI 2016, section 3.4, whose table this
 * answers from without building it.
 */
import { InputError } from "../../base/index.ts";
import type { Part } from "./declaration.ts";

export interface MaglevOptions {
  /** Slots: a prime below 65536, some times the number of backends. */
  readonly height: number;
}

export class Maglev {
  readonly kind = "composite";
  readonly height: number;

  constructor({ height }: MaglevOptions) {
    if (height >= 65_536 || !isPrime(height))
      throw new InputError(`maglev with a height of ${height}`, {
        code: "nf-maglev-height",
        fix: "give a prime below 65536, such as 97",
      });
    this.height = height;
  }

  /** The inverse of the backend's step: what `turn` wants to be told. */
  inverse(backend: number): number {
    // step to the power of height − 2 (Fermat), bit by bit.
    let square = 1 + (backend % (this.height - 1));
    let power = 1;
    for (let bit = 0; bit < 16; bit++) {
      if ((((this.height - 2) >>> bit) & 1) !== 0)
        power = (power * square) % this.height;
      square = (square * square) % this.height;
    }
    return power;
  }

  /** When the backend's turn at the slot of `hash` comes; the least is preferred. */
  turn(hash: number, backend: number, inverse: number): number {
    const offset = (31 * backend) % this.height;
    const distance =
      ((hash % this.height) + (this.height - offset)) % this.height;
    return (distance * inverse) % this.height;
  }

  parts(name: string): readonly Part[] {
    return [{ name, declaration: this }];
  }

  renew(): Maglev {
    return new Maglev(this);
  }
}

/** How flows choose among backends: see `turn`. */
export function maglev(options: MaglevOptions): Maglev {
  return new Maglev(options);
}

function isPrime(value: number): boolean {
  if (!Number.isInteger(value) || value < 2) return false;
  for (let by = 2; by * by <= value; by++) if (value % by === 0) return false;
  return true;
}
