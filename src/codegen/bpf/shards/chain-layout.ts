/**
 * The array of an index allocator over cores: cells shared, heads private.
 *
 *   0            unused: the sequential program's head
 *   1 … N − 1    the cells, each at the place of its index as ever
 *   N …          for each core, a cache line and more apart:
 *                  padding, its head, its free cell
 *
 * Core c hands out indices of its own range only, so indices are unique in the
 * machine, and what is numbered by them (ports of a NAT, arrays beside the chain)
 * stays as it is. Zeros are an empty allocator here too: a head's `last` counts cells
 * up to the last one used, from the first index of its range, and 0 means none.
 *
 * A look-up of the program's own reads, on core c:
 *
 *   key 0                  the head of core c
 *   key in c's range       the cell
 *   another key below N    c's free cell, which is marked as not allocated
 *   a key from N           nothing, as ever
 */
import { Bug } from "../../../base/index.ts";
import { capacitiesOf } from "./capacities.ts";

/** What is known of an allocator; analysis finds it out. */
export interface ChainFacts {
  /** Hash map from which the key of a reclaimed cell is deleted. */
  readonly entries?: string;
  readonly capacity: number;
  /** Absent: nothing expires. */
  readonly expiry?: bigint;
  /** A full allocator takes the oldest index, expired or not. */
  readonly evictsOldest: boolean;
  readonly cellSize: number;
  /** Where in a cell the key of its entry stands. */
  readonly keyOffset?: number;
  readonly functions: {
    readonly allocate: string;
    readonly refresh?: string;
    readonly free?: string;
  };
}

export interface ChainLayout {
  readonly cores: number;
  /** N: as many cells as the original array has. */
  readonly cells: number;
  readonly capacities: readonly number[];
  /** Cells per core behind the N. */
  readonly stride: number;
  /** Of core 0. */
  readonly firstHead: number;
}

/** Offsets in a cell: see nf_chain.h. */
export const cellLayout = { last: 0, next: 8, previous: 12, size: 16 } as const;

const cacheLine = 64;

export function chainLayout(
  cells: number,
  cores: number,
  { capacity, cellSize }: Pick<ChainFacts, "capacity" | "cellSize">,
): ChainLayout {
  if (capacity >= cells || cellSize < cellLayout.size)
    throw new Bug(`${capacity} indices of ${cellSize} bytes in ${cells} cells`);
  const padding = Math.ceil(cacheLine / cellSize);
  return {
    cores,
    cells,
    capacities: capacitiesOf(capacity, cores),
    stride: padding + 2,
    firstHead: cells + padding,
  };
}

export function headOf(
  { firstHead, stride }: ChainLayout,
  core: number,
): number {
  return firstHead + stride * core;
}

/** max_entries of the array. */
export function entriesOf({ cells, stride, cores }: ChainLayout): number {
  return cells + stride * cores;
}
