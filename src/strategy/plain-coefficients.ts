/**
 * Coefficients of owner functions that are surely zero, or surely equal, found before
 * any linear algebra.
 *
 * For a pair of groups (from, to) the coefficients (h_from | h_to) lie in the span of the
 * pair's equations (linear-owner.ts). A place that no equation mentions is zero in the
 * whole span; and of a span whose members have to be zero at a place, the members that
 * are form the span of fewer equations: one that mentions the place is added to the
 * others that do, and goes. That may leave further places unmentioned, here and, since
 * a column has one coefficient, in other pairs: until nothing changes. An equation that
 * shares no place with another says that its places are equal in the whole span.
 * Demands over long keys are mostly decided by this alone; equations are sparse, so the
 * cost is about the number of their terms.
 */

/** The equations of one demand between two groups, over numbers of columns. */
export interface GroupPair {
  readonly from: string;
  readonly to: string;
  readonly equations: readonly {
    readonly left: readonly number[];
    readonly right: readonly number[];
  }[];
}

/** The equations of a pair that say more, over places, and the unknown at each place. */
export interface PairSystem {
  readonly places: ReadonlyMap<number, number>;
  readonly rows: readonly ReadonlySet<number>[];
}

export interface PlainCoefficients {
  /** Of each column: its coefficient's number, from 0; undefined: zero. */
  readonly unknowns: readonly (number | undefined)[];
  readonly count: number;
  readonly systems: readonly PairSystem[];
}

/** `groupOf`: of each column. */
export function plainCoefficients(
  pairs: readonly GroupPair[],
  groupOf: readonly string[],
  unusable: readonly number[],
): PlainCoefficients {
  const count = groupOf.length;
  const columnsOf = new Map<string, number[]>();
  for (const [at, group] of groupOf.entries()) {
    const known = columnsOf.get(group);
    if (known === undefined) columnsOf.set(group, [at]);
    else known.push(at);
  }
  const zero = new Set<number>();
  const work: number[] = [];
  const isZero = (column: number): void => {
    if (zero.has(column)) return;
    zero.add(column);
    work.push(column);
  };
  for (const column of unusable) isZero(column);
  const spans = pairs.map(({ from, to, equations }) => {
    const span = new Span(
      equations.map(({ left, right }) => [
        ...left,
        ...right.map((at) => count + at),
      ]),
    );
    const places = [
      ...(columnsOf.get(from) ?? []),
      ...(columnsOf.get(to) ?? []).map((at) => count + at),
    ];
    for (const place of places)
      if (!span.mentions(place)) isZero(place % count);
    return { from, to, span };
  });
  for (let column = work.pop(); column !== undefined; column = work.pop())
    for (const { from, to, span } of spans) {
      const group = groupOf[column];
      const freed = [
        ...(group === from ? span.without(column) : []),
        ...(group === to ? span.without(count + column) : []),
      ];
      for (const place of freed) isZero(place % count);
    }
  // Columns that are equal, as a forest.
  const parent = groupOf.map((_, at) => at);
  const rootOf = (column: number): number => {
    let at = column;
    for (let up = parent[at] ?? at; up !== at; up = parent[at] ?? at) at = up;
    parent[column] = at;
    return at;
  };
  const tangled = spans.map(({ span }) => {
    const rows = span.rows();
    const alone = new Set(rows.filter((row) => span.isAlone(row)));
    for (const row of alone) {
      const [first = 0, ...others] = row;
      for (const place of others)
        parent[rootOf(place % count)] = rootOf(first % count);
    }
    return rows.filter((row) => !alone.has(row));
  });
  const numbers = new Map<number, number>();
  const unknowns = groupOf.map((_, column) => {
    if (zero.has(column)) return undefined;
    const root = rootOf(column);
    const known = numbers.get(root) ?? numbers.size;
    numbers.set(root, known);
    return known;
  });
  return {
    unknowns,
    count: numbers.size,
    systems: tangled.map((rows) => ({
      rows,
      places: new Map(
        rows.flatMap((row) =>
          [...row].map((place) => [place, unknowns[place % count] ?? 0]),
        ),
      ),
    })),
  };
}

/** In a set of what is there an odd number of times. */
export function toggle(set: Set<number>, value: number): void {
  if (!set.delete(value)) set.add(value);
}

/** Sums of rows over GF(2), each row the set of places where it is 1. */
class Span {
  readonly #rows = new Set<Set<number>>();
  readonly #at = new Map<number, Set<Set<number>>>();

  constructor(rows: readonly (readonly number[])[]) {
    for (const places of rows) {
      const row = new Set(places);
      if (row.size === 0) continue;
      this.#rows.add(row);
      for (const place of row) this.#rowsAt(place).add(row);
    }
  }

  mentions(place: number): boolean {
    return (this.#at.get(place)?.size ?? 0) > 0;
  }

  /** Members that are 0 there, from now on; places that no row mentions any more. */
  without(place: number): readonly number[] {
    const [pivot, ...others] = [...this.#rowsAt(place)].sort(
      (a, b) => a.size - b.size,
    );
    if (pivot === undefined) return [];
    for (const row of others)
      for (const at of pivot) {
        toggle(row, at);
        if (row.has(at)) this.#rowsAt(at).add(row);
        else this.#rowsAt(at).delete(row);
      }
    this.#rows.delete(pivot);
    for (const at of pivot) this.#rowsAt(at).delete(pivot);
    return [...pivot].filter((at) => !this.mentions(at));
  }

  /** No other row mentions its places. */
  isAlone(row: ReadonlySet<number>): boolean {
    return [...row].every((at) => this.#at.get(at)?.size === 1);
  }

  rows(): readonly ReadonlySet<number>[] {
    return [...this.#rows].filter((row) => row.size > 0);
  }

  #rowsAt(place: number): Set<Set<number>> {
    let known = this.#at.get(place);
    if (known === undefined) {
      known = new Set();
      this.#at.set(place, known);
    }
    return known;
  }
}
