/**
 * Linear algebra over GF(2), homogeneous: rows are sums of unknowns that must be 0.
 *
 * Representation: a row is a bit set in 32-bit words, column c at bit c mod 32 of
 * word c / 32. Rows are kept by their first column ("pivot"), each reduced by
 * those before it: row echelon form, built one row at a time.
 */
import type { Random } from "../base/index.ts";

export type Bits = Uint32Array;

export function hasBit(bits: Bits, column: number): boolean {
  return (((bits[column >>> 5] ?? 0) >>> (column & 31)) & 1) === 1;
}

export function flipBit(bits: Bits, column: number): void {
  bits[column >>> 5] = (bits[column >>> 5] ?? 0) ^ (1 << (column & 31));
}

export class LinearSystem {
  readonly columns: number;
  readonly #words: number;
  readonly #rows: (Bits | undefined)[];
  #rank = 0;
  #freeMask: Bits | undefined;

  constructor(columns: number) {
    this.columns = columns;
    this.#words = (columns + 31) >>> 5;
    this.#rows = Array.from({ length: columns }, () => undefined);
  }

  /** Number of independent rows. */
  get rank(): number {
    return this.#rank;
  }
  /** Dimension of the null space. */
  get free(): number {
    return this.columns - this.#rank;
  }

  vector(): Bits {
    return new Uint32Array(this.#words);
  }

  /** Adds `sum of these columns = 0`; a column named twice cancels. True if it was new. */
  add(columns: readonly number[]): boolean {
    const row = this.vector();
    for (const column of columns) flipBit(row, column);
    return this.addRow(row);
  }

  /** Like add; the row is consumed. */
  addRow(row: Bits): boolean {
    for (let word = 0; word < this.#words; word++)
      for (let rest = row[word] ?? 0; rest !== 0; rest = row[word] ?? 0) {
        const pivot = 32 * word + 31 - Math.clz32(rest & -rest);
        const known = this.#rows[pivot];
        if (known === undefined) {
          this.#rows[pivot] = row;
          this.#rank++;
          this.#freeMask = undefined;
          return true;
        }
        for (let at = word; at < this.#words; at++)
          row[at] = (row[at] ?? 0) ^ (known[at] ?? 0);
      }
    return false;
  }

  /** Is the column 0 in every solution? */
  forcesZero(column: number): boolean {
    const row = this.vector();
    flipBit(row, column);
    for (let word = column >>> 5; word < this.#words; word++)
      for (let rest = row[word] ?? 0; rest !== 0; rest = row[word] ?? 0) {
        const known = this.#rows[32 * word + 31 - Math.clz32(rest & -rest)];
        if (known === undefined) return false;
        for (let at = word; at < this.#words; at++)
          row[at] = (row[at] ?? 0) ^ (known[at] ?? 0);
      }
    return true;
  }

  isPivot(column: number): boolean {
    return this.#rows[column] !== undefined;
  }

  /** The columns that some consequence of the rows has. */
  mentioned(): Bits {
    const union = this.vector();
    for (const row of this.#rows.filter((each) => each !== undefined))
      for (let at = 0; at < this.#words; at++)
        union[at] = (union[at] ?? 0) | (row[at] ?? 0);
    return union;
  }

  /** The solution that agrees with `values` on every free column. */
  complete(values: Bits): Bits {
    const solution = values.slice();
    for (let pivot = this.columns - 1; pivot >= 0; pivot--) {
      const row = this.#rows[pivot];
      if (row === undefined) continue;
      let sum = 0;
      for (let at = pivot >>> 5; at < this.#words; at++)
        sum ^= (row[at] ?? 0) & (solution[at] ?? 0);
      if (parity(sum) === 1) flipBit(solution, pivot);
    }
    return solution;
  }

  /** A uniformly drawn solution. */
  member(random: Random): Bits {
    const values = this.vector();
    for (let word = 0; word < this.#words; word++)
      values[word] = random.u32() & (this.#freeColumns()[word] ?? 0);
    return this.complete(values);
  }

  #freeColumns(): Bits {
    if (this.#freeMask !== undefined) return this.#freeMask;
    const mask = this.vector();
    for (let column = 0; column < this.columns; column++)
      if (!this.isPivot(column)) flipBit(mask, column);
    this.#freeMask = mask;
    return mask;
  }

  /** A basis of the solutions, one vector per free column. */
  nullSpace(): readonly Bits[] {
    const basis: Bits[] = [];
    for (let column = 0; column < this.columns; column++) {
      if (this.isPivot(column)) continue;
      const values = this.vector();
      flipBit(values, column);
      basis.push(this.complete(values));
    }
    return basis;
  }

  /** Is the vector a solution? */
  holds(solution: Bits): boolean {
    return this.#rows.every((row) => {
      if (row === undefined) return true;
      let sum = 0;
      for (let at = 0; at < this.#words; at++)
        sum ^= (row[at] ?? 0) & (solution[at] ?? 0);
      return parity(sum) === 0;
    });
  }
}

/**
 * A basis of the span of small numbers (as bit vectors), by leading bit,
 * descending. Stops early at `most` vectors, where more cannot be.
 */
export function spanBasis(
  numbers: readonly number[],
  most = 32,
): readonly number[] {
  const leading: number[] = [];
  let rank = 0;
  for (let at = 0; at < numbers.length && rank < most; at++) {
    let rest = numbers[at] ?? 0;
    while (rest !== 0) {
      const zeros = Math.clz32(rest);
      const known = leading[zeros] ?? 0;
      if (known === 0) {
        leading[zeros] = rest;
        rank++;
        break;
      }
      rest ^= known;
    }
  }
  return rank === 0 ? [] : leading.filter((vector) => vector !== 0);
}

/** The smallest member of `number`'s coset; `basis` in descending order. */
export function reduce(number: number, basis: readonly number[]): number {
  let rest = number;
  for (const vector of basis)
    if ((rest ^ vector) >>> 0 < rest >>> 0) rest ^= vector;
  return rest;
}

/** All sums of members of a basis, 0 included. */
export function span(basis: readonly number[]): readonly number[] {
  const all = [0];
  for (const vector of basis) {
    const { length } = all;
    for (let index = 0; index < length; index++)
      all.push((all[index] ?? 0) ^ vector);
  }
  return all;
}

function parity(word: number): 0 | 1 {
  let folded = word ^ (word >>> 16);
  folded ^= folded >>> 8;
  folded ^= folded >>> 4;
  return ((0x6996 >>> (folded & 15)) & 1) as 0 | 1;
}
