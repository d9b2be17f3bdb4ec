/**
 * `countMinSketch`: approximate counts by key in fixed memory; a count may be too
 * large, never too small. Written in the subset.
 *
 * Representation: an ARRAY of rows × columns cells, row after row; in row r the
 * key has column hash(key, r + 1) mod columns. Cells are u64 counts, or what
 * `cell` says (then the network function does with them what it wants).
 *
 * Source: Cormode and Muthukrishnan, "An improved data stream summary", 2005.
 */
import { min } from "./arithmetic.ts";
import { ArrayMap } from "./array-map.ts";
import { checkCapacity, type Part } from "./declaration.ts";
import { hash } from "./hash.ts";
import { u64 } from "./scalar.ts";
import type { Ref, Type, ValueOf } from "./struct.ts";

export interface SketchOptions<K extends Type> {
  readonly key: K;
  /** Each row hashes by another seed; 4 is usual. */
  readonly rows: number;
  readonly columns: number;
}

/** A sketch with cells of one's own. */
export class CellSketch<K extends Type, C extends Type> {
  readonly kind = "composite";
  readonly key: K;
  readonly rows: number;
  readonly columns: number;
  readonly cells: ArrayMap<C>;
  readonly options: SketchOptions<K> & { readonly cell: C };

  constructor(options: SketchOptions<K> & { readonly cell: C }) {
    const { key, rows, columns, cell } = options;
    checkCapacity("countMinSketch", rows * columns);
    this.key = key;
    this.rows = rows;
    this.columns = columns;
    this.options = options;
    this.cells = new ArrayMap({ value: cell, capacity: rows * columns });
  }

  /** The key's cell in a row, which is proved to be less than `rows`. */
  at(row: number, key: ValueOf<K>): Ref<C> {
    const column = hash(this.key, key, row + 1) % this.columns;
    return this.cells.at(row * this.columns + column);
  }

  parts(name: string): readonly Part[] {
    return [{ name, declaration: this }, ...this.cells.parts(name)];
  }

  renew(): CellSketch<K, C> {
    return new CellSketch(this.options);
  }
}

/** A sketch of counts. */
export class CountSketch<K extends Type> {
  readonly kind = "composite";
  readonly key: K;
  readonly rows: number;
  readonly columns: number;
  readonly cells: ArrayMap<typeof u64>;
  readonly options: SketchOptions<K>;

  constructor(options: SketchOptions<K>) {
    const { key, rows, columns } = options;
    checkCapacity("countMinSketch", rows * columns);
    this.key = key;
    this.rows = rows;
    this.columns = columns;
    this.options = options;
    this.cells = new ArrayMap({ value: u64, capacity: rows * columns });
  }

  /** The key's cell in a row, which is proved to be less than `rows`. */
  at(row: number, key: ValueOf<K>): { value: bigint } {
    const column = hash(this.key, key, row + 1) % this.columns;
    return this.cells.at(row * this.columns + column);
  }

  /** Counts the key `amount` times. */
  add(key: ValueOf<K>, amount: number): void {
    for (let row = 0; row < this.rows; row++) {
      const cell = this.at(row, key);
      cell.value = u64(cell.value + u64(amount));
    }
  }

  /** How often the key was counted, or more. */
  estimate(key: ValueOf<K>): bigint {
    let least = this.at(0, key).value;
    for (let row = 1; row < this.rows; row++)
      least = min(least, this.at(row, key).value);
    return least;
  }

  parts(name: string): readonly Part[] {
    return [{ name, declaration: this }, ...this.cells.parts(name)];
  }

  renew(): CountSketch<K> {
    return new CountSketch(this.options);
  }
}

/** A sketch whose cells are of the type `cell`. */
export function countMinSketch<K extends Type, C extends Type>(
  options: SketchOptions<K> & { readonly cell: C },
): CellSketch<K, C>;
/** Approximate counts by key. */
export function countMinSketch<K extends Type>(
  options: SketchOptions<K> & { readonly cell?: undefined },
): CountSketch<K>;
export function countMinSketch<K extends Type, C extends Type>(
  options: SketchOptions<K> & { readonly cell?: C | undefined },
): CellSketch<K, C> | CountSketch<K> {
  const { cell } = options;
  return cell === undefined
    ? new CountSketch(options)
    : new CellSketch({ ...options, cell });
}
