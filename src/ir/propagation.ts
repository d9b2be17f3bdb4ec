/**
 * What intervals decide: branches whose outcome follows from the numbers that their
 * operands can be, and so edges that no packet can take.
 *
 * Conditional propagation of unsigned intervals, a function at a time, callers first;
 * what is in memory may be anything of its size, and so may parameters of functions that
 * are not only called from where all calls are known (callers.ts). What a test says of its operands
 * holds where only that way out of it leads. A value that rises more than a few times
 * (a loop counter) may be anything from then on.
 *
 *   nothing (not reached)  <  [lo, hi]  <  [0, 2^64 - 1]
 *
 * - Read-only data is known. A remainder that a compiler takes as x - x / c * c, with
 *   c at least 1, is below c.
 * - No pointer into a packet is 0, however far a bounded offset leads; `facts.notNull`
 *   says of which calls that holds besides (look-ups that always find a cell).
 * - No frame is longer than a verifier lets offsets into it be.
 * - A frame that was found long enough once is so in later tests (packet-bounds.ts),
 *   if `facts.keepsLength`.
 *
 * One-way sound: an edge called infeasible is taken by no packet, as long as `facts`
 * hold and read-only data stays as it is.
 *
 * Source: Harrison, "Compiler Analysis of the Value Ranges for Variables", IEEE TSE 1977.
 */
import type { MapSpec } from "../isa/index.ts";
import type { Solved } from "./callers.ts";
import { packetBounds, type PacketBounds } from "./packet-bounds.ts";
import { frozenWord } from "./constants.ts";
import {
  anything,
  arithmetic,
  compared,
  exchanged,
  isEqual,
  isSame,
  joined,
  limits,
  mask,
  met,
  negated,
  unsigned,
  zeroExtended,
  type Interval,
  type Known,
} from "./interval.ts";
import {
  edgesOf,
  graphOf,
  graphReversePostorder,
  onlyPredecessors,
} from "./graph.ts";
import type {
  Block,
  IrFunction,
  IrInstruction,
  Terminator,
  ValueId,
} from "./program.ts";

/** What else is known; each must hold for every packet. */
export interface RangeFacts {
  /** Does this call answer a pointer that is not null? `key`: the word at its second argument. */
  readonly notNull?: (
    call: Call,
    fn: IrFunction,
    key: Interval | undefined,
  ) => boolean;
  /** Has every packet the same length throughout? Default: not known. */
  readonly keepsLength?: boolean;
  /** The one outcome of a branch. */
  readonly outcome?: (branch: Branch, fn: IrFunction) => boolean | undefined;
}

export type Call = IrInstruction & { readonly kind: "call" };
type Binary = IrInstruction & { readonly kind: "binary" };
export type Branch = Terminator & { readonly kind: "branch" };

const word: Interval = { low: 0n, high: mask(32) };
const notNull: Interval = { low: 1n, high: mask(64) };
/** No offset into a frame is longer. */
const farthest = 1n << 31n;
/** MAX_PACKET_OFF of kernel/bpf/verifier.c. */
const longestFrame = 0xffffn;
/** Rises until a value may be anything. */
const patience = 4;

/** One function, from what its parameters can be. */
export class Propagation {
  readonly #fn: IrFunction;
  readonly #frozen: ReadonlyMap<string, MapSpec>;
  readonly #facts: RangeFacts;
  readonly #definitions = new Map<ValueId, IrInstruction>();
  readonly #ranges = new Map<ValueId, Interval>();
  readonly #rises = new Map<ValueId, number>();
  /** What tests on the way to a block say; absent: nothing leads there yet. */
  readonly #entry = new Map<number, Known>();
  readonly #outcomes = new Map<number, boolean>();
  readonly #only: readonly (number | undefined)[];
  readonly #bounds: PacketBounds | undefined;
  /** What callers hand over. */
  readonly #given: readonly Interval[];
  #changed = false;

  constructor(
    fn: IrFunction,
    {
      frozen,
      facts,
      given,
    }: {
      readonly frozen: ReadonlyMap<string, MapSpec>;
      readonly facts: RangeFacts;
      readonly given: readonly Interval[];
    },
  ) {
    this.#fn = fn;
    this.#given = given;
    this.#frozen = frozen;
    this.#facts = facts;
    for (const { instructions } of fn.blocks)
      for (const instruction of instructions)
        if ("result" in instruction)
          this.#definitions.set(instruction.result, instruction);
    this.#only = onlyPredecessors(fn);
    this.#bounds = facts.keepsLength === true ? packetBounds(fn) : undefined;
  }

  run(): Solved {
    for (const [at, param] of this.#fn.params.entries())
      this.#ranges.set(param, this.#given[at] ?? anything);
    for (const param of this.#fn.blocks[0]?.params ?? [])
      this.#ranges.set(param, this.#ranges.get(param) ?? anything);
    this.#entry.set(0, new Map());
    const order = graphReversePostorder(graphOf(this.#fn));
    do {
      this.#changed = false;
      for (const at of order) this.#visit(at);
    } while (this.#changed);
    return {
      reached: new Set(this.#entry.keys()),
      outcomes: this.#outcomes,
      calls: this.#calls(),
    };
  }

  /** What is handed to functions of the program, where a call is reached. */
  #calls(): Solved["calls"] {
    return [...this.#entry].flatMap(([at, known]) =>
      (this.#fn.blocks[at]?.instructions ?? []).flatMap((each) =>
        each.kind === "call" && each.callee.kind === "function"
          ? [
              {
                callee: each.callee.name,
                args: each.args.map((value) => this.#get(value, known)),
              },
            ]
          : [],
      ),
    );
  }

  #visit(at: number): void {
    const block = this.#fn.blocks[at];
    const known = this.#entry.get(at);
    if (block === undefined || known === undefined) return;
    for (const instruction of block.instructions)
      if ("result" in instruction)
        this.#raise(
          instruction.result,
          this.#rangeOf(instruction, known, block),
        );
    const { terminator } = block;
    const [then, otherwise] = edgesOf(terminator);
    if (terminator.kind !== "branch") {
      for (const edge of [then, otherwise])
        if (edge !== undefined) this.#flow(edge, known);
      return;
    }
    const outcome =
      this.#bounds?.outcome(block.id) ?? this.#outcomeOf(terminator, known);
    this.#outcomes.delete(at);
    if (outcome !== undefined) this.#outcomes.set(at, outcome);
    for (const [taken, edge] of [
      [true, then],
      [false, otherwise],
    ] as const)
      if (edge !== undefined && outcome !== !taken)
        this.#flow(edge, this.#refined(terminator, taken, known));
  }

  #flow(
    {
      block,
      args,
    }: { readonly block: number; readonly args: readonly ValueId[] },
    known: Known,
  ): void {
    for (const [at, param] of (
      this.#fn.blocks[block]?.params ?? []
    ).entries()) {
      const argument = args[at];
      this.#raise(
        param,
        argument === undefined ? anything : this.#get(argument, known),
      );
    }
    const before = this.#entry.get(block);
    // With one way in, what is known there is known here; else what both say.
    const after =
      before === undefined || this.#only[block] !== undefined
        ? known
        : joined(before, known);
    if (before !== undefined && isSame(before, after)) return;
    this.#entry.set(block, after);
    this.#changed = true;
  }

  #raise(value: ValueId, range: Interval): void {
    const before = this.#ranges.get(value);
    if (before === undefined) {
      this.#ranges.set(value, range);
      this.#changed = true;
      return;
    }
    const low = range.low < before.low ? range.low : before.low;
    const high = range.high > before.high ? range.high : before.high;
    if (low === before.low && high === before.high) return;
    const rises = (this.#rises.get(value) ?? 0) + 1;
    this.#rises.set(value, rises);
    this.#ranges.set(value, rises > patience ? anything : { low, high });
    this.#changed = true;
  }

  #get(value: ValueId, known: Known): Interval {
    const range = this.#ranges.get(value) ?? anything;
    const test = known.get(value);
    return test === undefined ? range : met(range, test);
  }

  #rangeOf(instruction: IrInstruction, known: Known, block: Block): Interval {
    switch (instruction.kind) {
      case "const": {
        const value = BigInt.asUintN(64, instruction.value);
        return { low: value, high: value };
      }
      case "map":
      case "map-value":
      case "function":
      case "slot":
        return notNull;
      case "load":
        return this.#loaded(instruction);
      case "extract": {
        const { value, start, size } = instruction;
        const of = this.#get(value, known);
        const most = mask(8 * size);
        if (start === 0 && of.high <= most) return of;
        const rest = of.high >> BigInt(8 * start);
        return { low: 0n, high: rest < most ? rest : most };
      }
      case "concat": {
        const bytes = instruction.parts.reduce(
          (sum, { size }) => sum + size,
          0,
        );
        const [first, ...others] = instruction.parts;
        if (first !== undefined && others.length === 0) {
          const of = this.#get(first.value, known);
          if (of.high <= mask(8 * first.size)) return of;
        }
        return { low: 0n, high: mask(8 * bytes) };
      }
      case "unary": {
        const of = this.#get(instruction.value, known);
        const bits = zeroExtended[instruction.op];
        if (bits === undefined) return anything;
        return of.high <= mask(bits) && !instruction.op.startsWith("swap")
          ? of
          : { low: 0n, high: mask(bits) };
      }
      case "binary":
        return this.#computed(instruction, known);
      case "call": {
        const key =
          instruction.args[1] === undefined
            ? undefined
            : this.#stored(instruction, instruction.args[1], { known, block });
        return this.#facts.notNull?.(instruction, this.#fn, key) === true
          ? notNull
          : anything;
      }
      case "load-packet":
        return { low: 0n, high: mask(8 * instruction.size) };
      case "kernel-symbol":
      case "undefined":
      case "atomic":
      case "address-cast":
      case "store":
        return anything;
    }
  }

  #loaded(load: IrInstruction & { readonly kind: "load" }): Interval {
    const value = frozenWord(load, { fn: this.#fn, frozen: this.#frozen });
    if (value !== "any") return { low: value, high: value };
    const type = this.#fn.values[load.result];
    if (type?.kind === "pointer" && type.nullable !== true)
      if (type.region.kind === "packet" || type.region.kind === "packet-end")
        return notNull;
    return load.signed ? anything : { low: 0n, high: mask(8 * load.size) };
  }

  #computed(
    { op, width, left, right, result }: Binary,
    known: Known,
  ): Interval {
    const a = this.#get(left, known);
    const b = this.#get(right, known);
    if (width === 64 && this.#isFrame(result))
      for (const [pointer, base, offset] of [
        [left, a, b],
        [right, b, a],
      ] as const)
        if (this.#isFrame(pointer) && base.low > 0n && offset.high < farthest)
          return notNull;
    if (op === "sub" && width === 64 && this.#isLength(left, right))
      return { low: 0n, high: longestFrame };
    if (op === "sub") {
      const below = this.#remainder({ width, left, right }, known);
      if (below !== undefined) return below;
    }
    return arithmetic(op, width, a, b);
  }

  /** x - x / c * c, as compilers write a remainder. */
  #remainder(
    { width, left, right }: Pick<Binary, "width" | "left" | "right">,
    known: Known,
  ): Interval | undefined {
    const product = this.#definitions.get(right);
    if (product?.kind !== "binary" || product.op !== "mul") return undefined;
    for (const [one, other] of [
      [product.left, product.right],
      [product.right, product.left],
    ] as const) {
      const quotient = this.#definitions.get(one);
      if (quotient?.kind !== "binary" || quotient.op !== "div") continue;
      if (quotient.width !== width || product.width !== width) continue;
      const [x, y] = [quotient.left, left].map((value) =>
        width === 32 ? this.#low(value) : value,
      );
      if (x !== y) continue;
      // Both read the divisor: from one value, or the same number twice.
      const [c, d] = [quotient.right, other].map((value) =>
        this.#get(value, known),
      );
      if (c === undefined || d === undefined) continue;
      const isSameNumber =
        quotient.right === other || (c.low === c.high && isEqual(c, d));
      if (!isSameNumber || c.low === 0n || c.high > mask(32)) continue;
      return { low: 0n, high: c.high - 1n };
    }
    return undefined;
  }

  /** The value whose low half this is. */
  #low(value: ValueId): ValueId {
    const from = this.#definitions.get(value);
    return from?.kind === "unary" && from.op === "zext32"
      ? this.#low(from.value)
      : value;
  }

  /** The packet's end less its start. */
  #isLength(end: ValueId, start: ValueId): boolean {
    const [last, first] = [end, start].map((value) => this.#fn.values[value]);
    return (
      this.#facts.keepsLength === true &&
      last?.kind === "pointer" &&
      last.region.kind === "packet-end" &&
      last.offset === 0 &&
      first?.kind === "pointer" &&
      first.region.kind === "packet" &&
      first.offset === 0
    );
  }

  #isFrame(value: ValueId): boolean {
    const type = this.#fn.values[value];
    return type?.kind === "pointer" && type.region.kind === "packet";
  }

  /** The word of four bytes that `pointer` points to, where it was just stored. */
  #stored(
    call: Call,
    pointer: ValueId,
    { known, block }: { readonly known: Known; readonly block: Block },
  ): Interval | undefined {
    const place = this.#fn.values[pointer];
    if (place?.kind !== "pointer" || place.region.kind !== "slot")
      return undefined;
    const { slot } = place.region;
    let at: Block | undefined = block;
    let before = block.instructions.indexOf(call);
    for (let left = 64; at !== undefined && left > 0; left--) {
      for (let index = before - 1; index >= 0; index--) {
        const store = at.instructions[index];
        if (store === undefined) continue;
        if (store.kind === "call" || store.kind === "atomic") return undefined;
        if (store.kind !== "store") continue;
        const type = this.#fn.values[store.address];
        // A packet's and a map's memory is not the frame's.
        if (type?.kind !== "pointer") return undefined;
        if (type.region.kind === "packet" || type.region.kind === "map-value")
          continue;
        if (type.region.kind !== "slot") return undefined;
        if (type.region.slot !== slot) continue;
        const offset = (type.offset ?? Number.NaN) + store.offset;
        if (offset !== place.offset || store.size !== 4) return undefined;
        const range = this.#get(store.value, known);
        return range.high <= word.high ? range : word;
      }
      const only: number | undefined = this.#only[at.id];
      at = only === undefined ? undefined : this.#fn.blocks[only];
      before = at?.instructions.length ?? 0;
    }
    return undefined;
  }

  #outcomeOf(branch: Branch, known: Known): boolean | undefined {
    const said = this.#facts.outcome?.(branch, this.#fn);
    if (said !== undefined) return said;
    const { op, width, left, right } = branch;
    const a = this.#get(left, known);
    const b = this.#get(right, known);
    if (a.high > mask(width) || b.high > mask(width)) return undefined;
    const isSigned = op.startsWith("js") && op !== "jset";
    if (isSigned && (a.high > mask(width - 1) || b.high > mask(width - 1)))
      return undefined;
    return compared(isSigned ? unsigned[op] : op, a, b);
  }

  /** What is known behind one way out of a test. */
  #refined(branch: Branch, taken: boolean, known: Known): Known {
    const { op, width, left, right } = branch;
    const a = this.#get(left, known);
    const b = this.#get(right, known);
    if (a.high > mask(width) || b.high > mask(width)) return known;
    const holds = taken ? op : negated[op];
    if (holds === undefined) return known;
    const refined = new Map(known);
    const set = (value: ValueId, range: Interval, by: Interval): void => {
      const next = met(range, by);
      if (!isEqual(next, range)) refined.set(value, next);
    };
    set(left, a, limits(holds, a, b));
    const mirrored = exchanged[holds];
    if (mirrored !== undefined) set(right, b, limits(mirrored, b, a));
    return refined;
  }
}
