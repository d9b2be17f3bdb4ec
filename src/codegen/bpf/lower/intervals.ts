/**
 * When each virtual register holds a word that is still wanted.
 *
 * Positions count through the function. A block begins with a label, then come its
 * instructions and its end; node n has two positions:
 *
 *   2n       words are read here; moves of the allocator stand in front
 *   2n + 1   results are written here; what a call clobbers is blocked from here
 *   2n + 2   the result of a call appears here
 *
 * An interval is a list of ranges `from ≤ position < to`, ascending, with holes
 * where nothing waits for the word; and the positions where it must be in a
 * register ("must") or had better be ("may").
 */
import type { Register } from "../../../isa/index.ts";
import {
  successorsOf,
  visit,
  visitEnd,
  type LowBlock,
  type LowFunction,
  type LowInstruction,
  type Virtual,
} from "./low-code.ts";

export interface Range {
  readonly from: number;
  readonly to: number;
}

export interface UsePosition {
  readonly at: number;
  readonly must: boolean;
  /** At the end of a loop: it is used in the next round. */
  readonly again?: true;
}

/** What would spare a move. */
export type Wish =
  | { readonly at: number; readonly register: Register }
  | { readonly at: number; readonly virtual: Virtual };

export interface Numbering {
  /** Node of each block's label, and behind the last the end of it all. */
  readonly labels: Int32Array;
  readonly start: (block: number) => number;
  readonly end: (block: number) => number;
  readonly blockAt: (position: number) => number;
}

export interface Lives {
  readonly numbering: Numbering;
  /** Index = virtual register; ascending. */
  readonly ranges: readonly (readonly Range[])[];
  readonly uses: readonly (readonly UsePosition[])[];
  readonly wishes: readonly (readonly Wish[])[];
  /** Index = block. */
  readonly liveIn: readonly (readonly Virtual[])[];
  /** Index = register: where it is clobbered, ascending. */
  readonly blocked: readonly (readonly Range[])[];
}

export function numberBlocks(blocks: readonly LowBlock[]): Numbering {
  const labels = new Int32Array(blocks.length + 1);
  let next = 0;
  for (const [index, block] of blocks.entries()) {
    labels[index] = next;
    next += block.instructions.length + 2;
  }
  labels[blocks.length] = next;
  return {
    labels,
    start: (block) => 2 * (labels[block] ?? 0),
    end: (block) => 2 * (labels[block + 1] ?? 0),
    blockAt: (position) => {
      const node = position >> 1;
      let low = 0;
      let high = blocks.length - 1;
      while (low < high) {
        const middle = (low + high + 1) >> 1;
        if ((labels[middle] ?? 0) <= node) low = middle;
        else high = middle - 1;
      }
      return low;
    },
  };
}

/** Blocks at whose start each virtual register is wanted: up from each use. */
function findLiveIn(fn: LowFunction): Virtual[][] {
  const { blocks, virtuals } = fn;
  const predecessors: number[][] = blocks.map(() => []);
  for (const [index, block] of blocks.entries())
    for (const successor of successorsOf(block.terminator))
      predecessors[successor]?.push(index);
  // Blocks that read it before they write it, and blocks that write it.
  const readers: number[][] = Array.from({ length: virtuals }, () => []);
  const writers: number[][] = Array.from({ length: virtuals }, () => []);
  const written = new Int32Array(virtuals).fill(-1);
  const read = new Int32Array(virtuals).fill(-1);
  for (const [index, block] of blocks.entries()) {
    const use = (virtual: Virtual): void => {
      if (written[virtual] === index || read[virtual] === index) return;
      read[virtual] = index;
      readers[virtual]?.push(index);
    };
    const define = (virtual: Virtual): void => {
      if (written[virtual] === index) return;
      written[virtual] = index;
      writers[virtual]?.push(index);
    };
    if (index === 0) fn.params.forEach(define);
    block.params.forEach(define);
    for (const instruction of block.instructions)
      visit(instruction, { use, define, clobber: () => undefined });
    visitEnd(block.terminator, use);
  }
  const liveIn: Virtual[][] = blocks.map(() => []);
  const seen = new Int32Array(blocks.length).fill(-1);
  const isWriter = new Int32Array(blocks.length).fill(-1);
  for (let virtual = 0; virtual < virtuals; virtual++) {
    for (const block of writers[virtual] ?? []) isWriter[block] = virtual;
    const work = [...(readers[virtual] ?? [])];
    for (let block = work.pop(); block !== undefined; block = work.pop()) {
      if (seen[block] === virtual) continue;
      seen[block] = virtual;
      liveIn[block]?.push(virtual);
      for (const predecessor of predecessors[block] ?? [])
        if (isWriter[predecessor] !== virtual) work.push(predecessor);
    }
  }
  return liveIn;
}

export function findLives(fn: LowFunction): Lives {
  const { blocks, virtuals } = fn;
  const numbering = numberBlocks(blocks);
  const liveIn = findLiveIn(fn);
  // Built from the last to the first, then turned round.
  const ranges: { from: number; to: number }[][] = Array.from(
    { length: virtuals },
    () => [],
  );
  const uses: UsePosition[][] = Array.from({ length: virtuals }, () => []);
  const wishes: Wish[][] = Array.from({ length: virtuals }, () => []);
  const blocked: Range[][] = Array.from({ length: 10 }, () => []);
  const cover = (virtual: Virtual, from: number, to: number): void => {
    const list = ranges[virtual];
    const last = list?.at(-1);
    if (last !== undefined && to >= last.from) {
      last.from = Math.min(last.from, from);
      last.to = Math.max(last.to, to);
    } else list?.push({ from, to });
  };
  const begin = (virtual: Virtual, at: number): void => {
    const last = ranges[virtual]?.at(-1);
    // Nobody reads it: it is there for a moment.
    if (last === undefined || last.from > at) cover(virtual, at, at + 1);
    else last.from = at;
  };
  for (let index = blocks.length - 1; index >= 0; index--) {
    const block = blocks[index];
    if (block === undefined) continue;
    const start = numbering.start(index);
    const end = numbering.end(index);
    for (const successor of successorsOf(block.terminator))
      for (const virtual of liveIn[successor] ?? []) cover(virtual, start, end);
    const read = (
      position: number,
      virtual: Virtual,
      how: { isFree?: true; isLate?: true; register?: Register },
    ): void => {
      const late = how.isLate === true ? 1 : 0;
      cover(virtual, start, position + 1 + late);
      const at = position + late;
      uses[virtual]?.push({ at, must: how.isFree !== true });
      if (how.register !== undefined)
        wishes[virtual]?.push({ at, register: how.register });
    };
    const last = end - 2;
    if (block.terminator.kind === "jump") {
      const params = blocks[block.terminator.to]?.params ?? [];
      for (const [at, argument] of block.terminator.args.entries()) {
        if (argument.kind !== "virtual") continue;
        const { virtual } = argument;
        cover(virtual, start, end);
        uses[virtual]?.push({ at: last, must: false });
        const param = params[at];
        if (param === undefined) continue;
        wishes[virtual]?.push({ at: last, virtual: param });
        wishes[param]?.push({
          at: numbering.start(block.terminator.to),
          virtual,
        });
      }
    } else
      visitEnd(block.terminator, (virtual, how) => {
        read(last, virtual, how);
      });
    for (let at = block.instructions.length - 1; at >= 0; at--) {
      const instruction = block.instructions[at];
      if (instruction === undefined) continue;
      const position = start + 2 * (at + 1);
      defineAndRead(instruction, position, {
        define: (virtual, when) => {
          begin(virtual, when);
        },
        result: (virtual, when, wish) => {
          uses[virtual]?.push({ at: when, must: wish?.register === undefined });
          if (wish?.register !== undefined)
            wishes[virtual]?.push({ at: when, register: wish.register });
          if (wish?.left !== undefined) {
            wishes[virtual]?.push({ at: when, virtual: wish.left });
            wishes[wish.left]?.push({ at: position, virtual });
          }
        },
        read,
        clobber: (register) =>
          blocked[register]?.push({ from: position + 1, to: position + 2 }),
      });
    }
    for (const param of block.params) {
      begin(param, start);
      uses[param]?.push({ at: start, must: false });
    }
  }
  for (const [index, param] of fn.params.entries()) {
    begin(param, 0);
    uses[param]?.push({ at: 0, must: false });
    const register = ([1, 2, 3, 4, 5] as const)[index];
    if (register !== undefined) wishes[param]?.push({ at: 0, register });
  }
  for (const lists of [ranges, uses, wishes, blocked])
    for (const list of lists) list.reverse();
  for (const { from, to, header } of loopSpans(fn, numbering))
    for (const virtual of liveIn[header] ?? [])
      if (uses[virtual]?.some(({ at, must }) => must && at >= from && at < to))
        uses[virtual]?.push({ at: to - 1, must: false, again: true });
  for (const list of uses) list.sort((a, b) => a.at - b.at);
  for (const list of wishes) list.sort((a, b) => a.at - b.at);
  return { numbering, ranges, uses, wishes, liveIn, blocked };
}

function defineAndRead(
  instruction: LowInstruction,
  position: number,
  to: {
    readonly define: (virtual: Virtual, at: number) => void;
    readonly result: (
      virtual: Virtual,
      at: number,
      wish: { readonly register?: Register; readonly left?: Virtual },
    ) => void;
    readonly read: (
      position: number,
      virtual: Virtual,
      how: { isFree?: true; isLate?: true; register?: Register },
    ) => void;
    readonly clobber: (register: Register) => void;
  },
): void {
  // Going backwards, the definition comes first.
  visit(instruction, {
    use: () => undefined,
    clobber: (registers) => {
      registers.forEach(to.clobber);
    },
    define: (virtual, how) => {
      const at = position + (how.register === undefined ? 1 : 2);
      to.define(virtual, at);
      to.result(virtual, at, how);
    },
  });
  visit(instruction, {
    use: (virtual, how) => {
      to.read(position, virtual, how);
    },
    define: () => undefined,
    clobber: () => undefined,
  });
}

/** From the header's start to the end of the last block that jumps back to it. */
function loopSpans(
  { blocks }: LowFunction,
  numbering: Numbering,
): readonly {
  readonly header: number;
  readonly from: number;
  readonly to: number;
}[] {
  const last = new Map<number, number>();
  for (const [index, block] of blocks.entries())
    for (const successor of successorsOf(block.terminator))
      if (successor <= index) last.set(successor, index);
  return [...last].map(([header, latch]) => ({
    header,
    from: numbering.start(header),
    to: numbering.end(latch),
  }));
}
