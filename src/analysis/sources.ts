/**
 * What opaque bits are made of, as far as it is known:
 *
 *   a *word*  bits of one load from a cell, plus a constant below 2^32 (bits 0 to 31 of
 *             the sum): an index that was found in an entry, and the cell number that
 *             is one above it. Exact: equal words of one load are equal numbers.
 *   a *set*   the bits of the input of which a bit is some function, in the order in
 *             which the expression uses them: hashes
 *
 * A load is one instruction with one cell: two runs of it in one packet have a loop head
 * between them, where words that changed are given up.
 * Cells nest: the key of a cell may be made of words of other cells, to a small depth.
 */
import type { OpaqueReason } from "./report.ts";
import type { AtomId, Form } from "./symbols.ts";

/** Why a bit is no linear form of the input, before fields have names. */
export type Reason =
  | Exclude<OpaqueReason, { kind: "state" } | { kind: "nonlinear" }>
  | {
      readonly kind: "state";
      readonly object: string;
      /** Made of what that cell holds, and perhaps more. */
      readonly cell?: number;
      readonly word?: WordBit;
    }
  | {
      readonly kind: "nonlinear";
      readonly text: string;
      /** It is a function of the atoms of this set. */
      readonly from?: number;
    };

export interface WordBit {
  readonly load: number;
  readonly plus: number;
  readonly bit: number;
}

type ExactReason = Extract<Reason, { kind: "state" }> & {
  readonly cell: number;
  readonly word: WordBit;
};

export const isExact = (reason: Reason): reason is ExactReason =>
  reason.kind === "state" && reason.word !== undefined;

export interface CellSource {
  readonly object: string;
  /** In memory order, each byte least significant bit first; absent: unknown. */
  readonly key: readonly Form[] | undefined;
  readonly depth: number;
}

export interface Loaded {
  /** Or the answer of a function that hands out indices of `object`. */
  readonly kind: "load" | "fresh";
  readonly object: string;
  readonly cell: number;
  /** What made the pointer (see Cell.root). */
  readonly root: number;
  readonly offset: number;
  readonly size: number;
}

const MOST_DEPTH = 3;
const MOST_MEMBERS = 640;

export class Sources {
  readonly #reasonOf: (form: Form) => Reason | undefined;
  readonly #cells: CellSource[] = [];
  readonly #cellIds = new Map<string, number>();
  readonly #loads: Loaded[] = [];
  readonly #loadIds = new Map<string, number>();
  readonly #sets: (readonly AtomId[])[] = [[]];
  readonly #setIds = new Map<string, number>([["", 0]]);
  readonly #unions = new Map<number, number | undefined>();

  constructor(reasonOf: (form: Form) => Reason | undefined) {
    this.#reasonOf = reasonOf;
  }

  cell(id: number): CellSource {
    const cell = this.#cells[id];
    if (cell === undefined) throw new RangeError(`no cell ${id}`);
    return cell;
  }
  cellId(object: string, key: readonly Form[] | undefined): number {
    let depth = 0;
    for (const form of key ?? []) {
      const reason = this.#reasonOf(form);
      if (reason?.kind === "state" && reason.cell !== undefined)
        depth = Math.max(depth, this.cell(reason.cell).depth);
    }
    const kept = depth < MOST_DEPTH ? key : undefined;
    const name = `${object} ${kept?.join() ?? "?"}`;
    let id = this.#cellIds.get(name);
    if (id === undefined) {
      id = this.#cells.length;
      this.#cells.push({ object, key: kept, depth: depth + 1 });
      this.#cellIds.set(name, id);
    }
    return id;
  }

  load(id: number): Loaded {
    const load = this.#loads[id];
    if (load === undefined) throw new RangeError(`no load ${id}`);
    return load;
  }
  /** `spot`: of the instruction. */
  loadId(loaded: Loaded, spot: string): number {
    const { kind, cell, root, offset, size } = loaded;
    const name = `${spot} ${kind} ${cell} ${root} ${offset} ${size}`;
    let id = this.#loadIds.get(name);
    if (id === undefined) {
      id = this.#loads.length;
      this.#loads.push(loaded);
      this.#loadIds.set(name, id);
    }
    return id;
  }

  members(set: number): readonly AtomId[] {
    return this.#sets[set] ?? [];
  }
  set(atoms: readonly AtomId[]): number {
    const name = atoms.join();
    let id = this.#setIds.get(name);
    if (id === undefined) {
      id = this.#sets.length;
      this.#sets.push(atoms);
      this.#setIds.set(name, id);
    }
    return id;
  }
  /** Those of `left`, then the others of `right`; undefined: too many. */
  union(left: number, right: number): number | undefined {
    if (left === right || right === 0) return left;
    if (left === 0) return right;
    const name = left * 2 ** 26 + right;
    if (this.#unions.has(name)) return this.#unions.get(name);
    const all = [...new Set([...this.members(left), ...this.members(right)])];
    const id = all.length > MOST_MEMBERS ? undefined : this.set(all);
    this.#unions.set(name, id);
    return id;
  }
}
