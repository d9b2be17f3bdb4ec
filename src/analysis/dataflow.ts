/**
 * The forward dataflow over one function: states flow along edges, are merged
 * where edges meet (state.ts), narrowed by branches (facts.ts) and widened at
 * loop heads. Touches are reported in one last sweep, when states are final.
 *
 * Bounds: a block is executed for at most eight states, and again only when what
 * flows into it has changed; a loop head gives up at once what changes there.
 */
import {
  edgesOf,
  reversePostorder,
  type Edge,
  type IrFunction,
  type Terminator,
} from "../ir/index.ts";
import { mirrored, type BranchOp } from "../isa/index.ts";
import { indexRange, pinnedBy } from "./comparison.ts";
import { assume, type Facts } from "./facts.ts";
import { isLeaf, livenessOf, matters, type Liveness } from "./liveness.ts";
import { assumeOrdered } from "./orders.ts";
import {
  entryState,
  mergeStates,
  sameStates,
  unknownByte,
  widenStates,
  type State,
} from "./state.ts";
import type { Analysis } from "./step.ts";
import { transfer } from "./transfer.ts";
import type { Symbols } from "./symbols.ts";
import { bitsOf, number, pointer, type Word } from "./word.ts";

/** A block is visited this often before everything in it is given up. */
const MOST_VISITS = 30;

export interface FunctionStart {
  /** Index in the program. */
  readonly index: number;
  /** True: the first parameter is the context of the run. */
  readonly entry: boolean;
  /** What holds at every call. */
  readonly facts: Facts;
  readonly bounds: State["bounds"];
}

/** Runs the analysis over `fn`; answers the states that reach each block. */
export function runDataflow(
  fn: IrFunction,
  start: FunctionStart,
  analysis: Analysis,
): void {
  const flow = new Flow(fn, start, analysis);
  flow.solve();
  flow.report();
}

class Flow {
  readonly #fn: IrFunction;
  readonly #start: FunctionStart;
  readonly #analysis: Analysis;
  readonly #silent: Analysis;
  readonly #liveness: Liveness;
  readonly #order: readonly number[];
  readonly #rank: readonly number[];
  readonly #heads: ReadonlySet<number>;
  readonly #preds: readonly (readonly string[])[];
  readonly #entering: (readonly State[])[];
  readonly #onEdge = new Map<string, readonly State[]>();
  readonly #visits: number[];
  readonly #leaves: ReadonlyMap<number, Word>;

  constructor(fn: IrFunction, start: FunctionStart, analysis: Analysis) {
    this.#fn = fn;
    this.#start = start;
    this.#analysis = analysis;
    this.#silent = {
      ...analysis,
      touch: () => undefined,
      compared: () => undefined,
      note: () => undefined,
      calls: () => undefined,
    };
    this.#liveness = livenessOf(fn);
    this.#order = reversePostorder(fn);
    const rank = fn.blocks.map(() => -1);
    for (const [index, block] of this.#order.entries()) rank[block] = index;
    this.#rank = rank;
    const preds: string[][] = fn.blocks.map(() => []);
    const heads = new Set<number>();
    for (const block of this.#order)
      for (const [slot, edge] of edgesOfBlock(fn, block).entries()) {
        preds[edge.block]?.push(`${block}.${slot}`);
        if ((rank[edge.block] ?? 0) <= (rank[block] ?? 0))
          heads.add(edge.block);
      }
    this.#preds = preds;
    this.#heads = heads;
    this.#entering = fn.blocks.map(() => []);
    this.#visits = fn.blocks.map(() => 0);
    this.#leaves = leavesOf(fn, this.#silent);
  }

  /** To the fixpoint. */
  solve(): void {
    const dirty = new Set<number>([0]);
    // Ranks are small integers: scanning them in order is a cheap priority queue.
    for (let at = 0; at < this.#order.length;) {
      const block = this.#order[at] ?? 0;
      if (!dirty.delete(block)) {
        at++;
        continue;
      }
      let next = at + 1;
      for (const changed of this.#visit(block)) {
        dirty.add(changed);
        next = Math.min(next, this.#rank[changed] ?? next);
      }
      at = next;
    }
  }

  /** One sweep with the final states, telling of touches. */
  report(): void {
    for (const block of this.#order)
      for (const state of this.#entering[block] ?? [])
        this.#execute(block, state, this.#analysis);
  }

  /** Executes a block if what enters it has changed; answers changed successors. */
  #visit(block: number): readonly number[] {
    const before = this.#entering[block] ?? [];
    const entering = this.#gather(block, before);
    const visits = (this.#visits[block] ?? 0) + 1;
    this.#visits[block] = visits;
    if (visits > 1 && sameStates(before, entering)) return [];
    this.#entering[block] = entering;
    const edges = edgesOfBlock(this.#fn, block);
    const leaving: State[][] = edges.map(() => []);
    for (const state of entering)
      for (const { slot, state: after } of this.#execute(
        block,
        state,
        this.#silent,
      ))
        leaving[slot]?.push(after);
    const changed: number[] = [];
    for (const [slot, edge] of edges.entries()) {
      const key = `${block}.${slot}`;
      const old = this.#onEdge.get(key);
      const now = leaving[slot] ?? [];
      if (old === undefined && now.length === 0) continue;
      if (old !== undefined && sameStates(old, now)) continue;
      this.#onEdge.set(key, now);
      changed.push(edge.block);
    }
    return changed;
  }

  #gather(block: number, before: readonly State[]): readonly State[] {
    const { symbols } = this.#analysis;
    const incoming = (this.#preds[block] ?? []).flatMap(
      (key) => this.#onEdge.get(key) ?? [],
    );
    if (block === 0) incoming.unshift(this.#first());
    const merged = mergeStates(incoming, symbols);
    const visits = this.#visits[block] ?? 0;
    if (visits > MOST_VISITS && before.length > 0)
      return merged.length === 0 ? before : [this.#forget(before)];
    if (!this.#heads.has(block) || visits === 0) return merged;
    return mergeStates(widenStates(before, merged, symbols), symbols);
  }

  /** A state that says nothing, for a block that does not settle. */
  #forget(before: readonly State[]): State {
    const lost = unknownByte(
      this.#analysis.symbols.unknown("a loop that does not settle"),
    );
    const [first] = before;
    const empty = entryState(
      (first?.slots ?? []).map((s) => s.map(() => lost)),
    );
    return { ...empty, frame: { ...empty.frame, moved: true } };
  }

  #first(): State {
    const { symbols } = this.#analysis;
    const lost = unknownByte(symbols.unknown("never written"));
    const state = entryState(
      this.#fn.slots.map(({ size }) =>
        Array.from({ length: size }, () => lost),
      ),
    );
    const env = new Map<number, Word>();
    const context = this.#fn.params[0];
    if (this.#start.entry && context !== undefined)
      env.set(context, pointer({ kind: "context" }, 0));
    const unfollowed = this.#start.entry
      ? state.frame
      : { ...state.frame, moved: true };
    const { facts, bounds } = this.#start;
    return { ...state, env, facts, bounds, frame: unfollowed };
  }

  /** States on the edges that can be taken from `state`. */
  #execute(
    block: number,
    entering: State,
    analysis: Analysis,
  ): readonly { readonly slot: number; readonly state: State }[] {
    const body = this.#fn.blocks[block];
    if (body === undefined) return [];
    const words = new Map(entering.env);
    let state = entering;
    const where = { function: this.#start.index, block, index: 0 };
    for (const [index, instruction] of body.instructions.entries()) {
      if (isLeaf(instruction)) continue;
      if (
        !matters(instruction) &&
        "result" in instruction &&
        this.#liveness.relevant[instruction.result] !== true
      )
        continue;
      state = transfer(state, instruction, {
        analysis,
        fn: this.#fn,
        where: { ...where, index },
        words,
        leaves: this.#leaves,
      });
    }
    const { terminator } = body;
    if (terminator.kind === "branch") {
      const left = this.#word(words, terminator.left) ?? unknownWord;
      const right = this.#word(words, terminator.right) ?? unknownWord;
      analysis.compared(
        { function: this.#start.index, block },
        { ...terminator, left, right },
      );
    }
    return this.#leave(terminator, { state, words });
  }

  #leave(
    terminator: Terminator,
    here: { readonly state: State; readonly words: ReadonlyMap<number, Word> },
  ): readonly { readonly slot: number; readonly state: State }[] {
    const { symbols } = this.#analysis;
    return edgesOf(terminator).flatMap((edge, slot) => {
      if (terminator.kind !== "branch")
        return [{ slot, state: this.#cross(edge, here) }];
      const { op, width, left, right } = terminator;
      const test = {
        op,
        width,
        left: this.#word(here.words, left) ?? unknownWord,
        right: this.#word(here.words, right) ?? unknownWord,
        outcome: slot === 0,
      };
      const facts = assume(here.state.facts, test, symbols);
      const orders = assumeOrdered(here.state.orders, test, symbols);
      if (facts === undefined || orders === undefined) return [];
      const bounds = boundsOn(here.state.bounds, test);
      const state = this.#cross(
        edge,
        { ...here, state: { ...here.state, facts, orders, bounds } },
        pinnedOn(test, { left, right }, symbols),
      );
      const isNull = nullOn(test);
      if (isNull === undefined) return [{ slot, state }];
      return [{ slot, state: settleNull(state, left, isNull) }];
    });
  }

  #word(words: ReadonlyMap<number, Word>, value: number): Word | undefined {
    return words.get(value) ?? this.#leaves.get(value);
  }

  /** The state at the start of the edge's target. */
  #cross(
    edge: Edge,
    {
      state,
      words,
    }: { readonly state: State; readonly words: ReadonlyMap<number, Word> },
    pinned?: Pinned,
  ): State {
    const env = new Map<number, Word>();
    for (const value of this.#liveness.liveIn[edge.block] ?? []) {
      const word = words.get(value);
      if (word !== undefined) env.set(value, word);
    }
    if (pinned !== undefined) env.set(pinned.constant, pinned.word);
    const params = this.#fn.blocks[edge.block]?.params ?? [];
    for (const [index, param] of params.entries()) {
      const arg = edge.args[index];
      const word =
        arg === undefined
          ? undefined
          : arg === pinned?.constant
            ? pinned.word
            : this.#word(words, arg);
      if (word !== undefined && this.#liveness.relevant[param] === true)
        env.set(param, word);
    }
    return { ...state, env };
  }
}

/** A constant that an index is on an edge: `min(index, capacity - 1)` is the index. */
interface Pinned {
  /** The constant's value id. */
  readonly constant: number;
  readonly word: Word;
}

function pinnedOn(
  test: {
    readonly op: BranchOp;
    readonly width: 32 | 64;
    readonly left: Word;
    readonly right: Word;
    readonly outcome: boolean;
  },
  ids: { readonly left: number; readonly right: number },
  symbols: Symbols,
): Pinned | undefined {
  const { left, right, width } = test;
  const [word, number, op, constant] =
    right.kind === "number"
      ? [left, right.value, test.op, ids.right]
      : left.kind === "number"
        ? [right, left.value, mirrored[test.op], ids.left]
        : [undefined, 0n, test.op, 0];
  if (word?.kind !== "bits") return undefined;
  const range = indexRange(bitsOf(word, symbols).slice(0, width), symbols);
  const value =
    range && pinnedBy({ ...test, op }, range, BigInt.asUintN(width, number));
  return value === number ? { constant, word } : undefined;
}

function leavesOf(fn: IrFunction, analysis: Analysis): Map<number, Word> {
  const leaves = new Map<number, Word>();
  const where = { function: 0, block: 0, index: 0 };
  const here = { analysis, fn, where, words: leaves, leaves };
  const nowhere = entryState([]);
  for (const { instructions } of fn.blocks)
    for (const instruction of instructions)
      if (isLeaf(instruction)) transfer(nowhere, instruction, here);
  return leaves;
}

const unknownWord: Word = pointer({ kind: "kernel" }, undefined);

function edgesOfBlock(fn: IrFunction, block: number): readonly Edge[] {
  const body = fn.blocks[block];
  return body === undefined ? [] : edgesOf(body.terminator);
}

/** How a pointer has to compare with the frame's end for bytes before it to be there. */
const inside: Readonly<Partial<Record<BranchOp, readonly [boolean, number]>>> =
  {
    jgt: [false, 0],
    jge: [false, 1],
    jle: [true, 0],
    jlt: [true, 1],
  };

function boundsOn(
  bounds: State["bounds"],
  test: {
    readonly op: BranchOp;
    readonly left: Word;
    readonly right: Word;
    readonly outcome: boolean;
  },
): State["bounds"] {
  const [end, at, op] = isEnd(test.right)
    ? [test.right, test.left, test.op]
    : [test.left, test.right, mirrored[test.op]];
  if (!isEnd(end) || at.kind !== "pointer") return bounds;
  const { target, offset } = at;
  const rule = inside[op];
  if (target.kind !== "packet" || offset === undefined || rule === undefined)
    return bounds;
  if (rule[0] !== test.outcome) return bounds;
  const bytes = offset + rule[1];
  if (bytes <= (bounds.get(target.base) ?? 0)) return bounds;
  return new Map(bounds).set(target.base, bytes);
}

const isEnd = (word: Word): boolean =>
  word.kind === "pointer" && word.target.kind === "packet-end";

/** For a test of a cell's pointer for null: is it null on this side? */
function nullOn(test: {
  readonly op: string;
  readonly left: Word;
  readonly right: Word;
  readonly outcome: boolean;
}): { readonly word: Word; readonly isNull: boolean } | undefined {
  const { op, left, right, outcome } = test;
  if (left.kind !== "pointer" || left.target.kind !== "cell") return undefined;
  if (right.kind !== "number" || right.value !== 0n) return undefined;
  if (op === "jeq") return { word: left, isNull: outcome };
  if (op === "jne") return { word: left, isNull: !outcome };
  return undefined;
}

function settleNull(
  state: State,
  value: number,
  { word, isNull }: { readonly word: Word; readonly isNull: boolean },
): State {
  if (word.kind !== "pointer" || word.target.kind !== "cell") return state;
  const { object } = word.target.cell;
  if (!isNull) {
    if (!state.missed.has(object)) return state;
    const missed = new Set(state.missed);
    missed.delete(object);
    return { ...state, missed };
  }
  const env = new Map(state.env);
  if (env.has(value)) env.set(value, number(0n));
  return { ...state, env, missed: new Set([...state.missed, object]) };
}
