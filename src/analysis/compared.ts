/**
 * What branches compare, where one side is loaded from a cell: recorded state by state
 * while touches are, kept where all states of a block agree.
 */
import type { BranchOp } from "../isa/index.ts";
import { placeInCell } from "./belongs.ts";
import type { Form, Symbols } from "./symbols.ts";
import { bitsOf, type Word } from "./word.ts";

/** A bit of a cell that is equal to a bit of the input. */
export interface Pair {
  /** Id of the cell in the table of sources. */
  readonly cell: number;
  readonly bit: number;
  readonly form: Form;
}

export interface Comparison {
  /** The side of the branch on which the pairs are equal. */
  readonly equalOn: boolean;
  readonly pairs: readonly Pair[];
  /** A cell whose `previous` is compared with that of free cells. */
  readonly free: number | undefined;
  /** Cells of which a word is compared with anything. */
  readonly cells: readonly number[];
}

export interface Test {
  readonly op: BranchOp;
  readonly width: 32 | 64;
  readonly left: Word;
  readonly right: Word;
}

/** Where in a cell the link to its predecessor stands; all ones: the cell is free. */
const PREVIOUS = 8 * 12;

/** Of one state. */
export function comparisonOf(
  { op, width, left, right }: Test,
  symbols: Symbols,
): Comparison {
  const equalOn = op === "jeq";
  const nothing = { equalOn, pairs: [], free: undefined, cells: [] };
  if (left.kind === "pointer" || right.kind === "pointer") return nothing;
  const a = bitsOf(left, symbols).slice(0, width);
  const b = bitsOf(right, symbols).slice(0, width);
  const cells = new Set<number>();
  const pairs: Pair[] = [];
  let isFree = [...a.slice(32), ...b.slice(32)].every((form) => form === 0);
  for (const [index, x] of a.entries()) {
    const y = b[index] ?? 0;
    const [place, form] =
      placeInCell(x, symbols) === undefined
        ? [placeInCell(y, symbols), x]
        : [placeInCell(x, symbols), y];
    if (index < 32) isFree &&= place?.bit === PREVIOUS + index && form === 1;
    if (place === undefined) continue;
    cells.add(place.cell);
    if (form >= 0) pairs.push({ cell: place.cell, bit: place.bit, form });
  }
  const [only] = cells;
  if (only === undefined) return nothing;
  const isEquality = op === "jeq" || op === "jne";
  return {
    equalOn,
    pairs: isEquality ? pairs : [],
    free: isEquality && isFree ? only : undefined,
    cells: [...cells],
  };
}

/** What both say. */
export function meetComparisons(
  left: Comparison,
  right: Comparison,
): Comparison {
  const has = ({ cell, bit, form }: Pair): boolean =>
    right.pairs.some(
      (pair) => pair.cell === cell && pair.bit === bit && pair.form === form,
    );
  return {
    equalOn: left.equalOn,
    pairs: left.pairs.filter(has),
    free: left.free === right.free ? left.free : undefined,
    cells: [...new Set([...left.cells, ...right.cells])],
  };
}
