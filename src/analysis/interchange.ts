/**
 * R5: an index that came with the packet. Where the index is of another core's range,
 * the cell that a core sees is a free one. That makes no difference if every packet
 * whose index is allocated but which fails the program's own comparison with what the
 * cell holds comes out as one whose index is not allocated.
 *
 * Walked here, from where the index is first compared with what the allocator holds:
 * every path, with the equalities that it has established. A path ends
 *
 *   as the unallocated one does     same verdict, nothing done on the way: no matter
 *   anywhere else, or with an effect (packet, state, events, a refresh)
 *                                   then what was established by then is all that
 *                                   such a packet is known to agree with the cell on
 *
 * Holds iff something is established on all of the latter. Writing back what was read
 * from there is no effect.
 */
import type { Place } from "../base/index.ts";
import type { IrFunction, IrInstruction } from "../ir/index.ts";
import { helperByNumber, kfuncByName } from "../isa/index.ts";
import type { MapSpec } from "../isa/index.ts";
import { isWrittenBack } from "./belongs.ts";
import { compare } from "./comparison.ts";
import type { Comparison, Pair } from "./compared.ts";
import type { Symbols } from "./symbols.ts";
import type { Touch } from "./touch.ts";
import { spotOf } from "./uses.ts";

export interface Ground {
  /** First bit of the key in a cell, and the bit behind it. */
  readonly keyBits: readonly [number, number];
  readonly fn: IrFunction;
  readonly symbols: Symbols;
  readonly maps: ReadonlyMap<string, MapSpec>;
  /** By block of the function. */
  readonly comparisons: ReadonlyMap<number, Comparison>;
  readonly touches: readonly Touch[];
}

export type Verdict =
  | { readonly holds: true; readonly pairs: readonly Pair[] }
  | {
      readonly holds: false;
      readonly code: string;
      readonly text: string;
      readonly at: Place;
    };

/** Blocks that one walk may enter. */
const MOST_STEPS = 5000;

/**
 * `cell`: the one that the index selects, `head`: that of the allocator's list, as
 * ids of sources; `touches`: look-ups of the cell.
 */
export function interchangeOf(
  cell: number,
  head: number,
  lookups: readonly Touch[],
  ground: Ground,
): Verdict {
  const first = lookups[0]?.at ?? { function: ground.fn.name, instruction: 0 };
  const refuse = (code: string, text: string, at = first): Verdict => ({
    holds: false,
    code,
    text,
    at,
  });
  const effects = effectsOf(ground);
  const free = [...ground.comparisons].filter(([, one]) => one.free === cell);
  if (free.length === 0)
    return refuse(
      "R5-not-tested",
      "the index is used without a test whether it is allocated",
    );
  let outcome: bigint | undefined;
  for (const [block, { equalOn }] of free) {
    const walk = new Walk(cell, effects, ground);
    const ended = walk.from(block, equalOn ? "then" : "otherwise");
    if (ended === undefined) return refuse("R5-paths", "too many paths");
    const effect = walk.ends.find(({ value }) => value === undefined);
    if (effect !== undefined)
      return refuse(
        "R5-effect",
        "a packet whose index is not allocated changes something",
        effect.at,
      );
    for (const { value, at } of walk.ends) {
      if (value !== (outcome ?? value))
        return refuse(
          "R5-verdicts",
          "packets whose index is not allocated have different verdicts",
          at,
        );
      outcome = value;
    }
  }
  const walk = new Walk(cell, effects, ground);
  const starts = [...ground.comparisons]
    .filter(
      ([, { cells, pairs }]) => cells.includes(head) && pairs.length === 0,
    )
    .map(([block]) => block);
  for (const block of starts)
    if (walk.reaches(block, lookups)) walk.from(block, "both");
  for (const { where } of lookups)
    if (where.function === 0) walk.after(where.block, where.index);
  if (walk.isEndless) return refuse("R5-paths", "too many paths");
  const others = walk.ends.filter(({ value }) => value !== outcome);
  const [least] = others.toSorted(
    (a, b) => a.established.size - b.established.size,
  );
  if (least === undefined)
    return refuse("R5-nothing", "the index makes no difference at all");
  const pairs = [...least.established.values()].filter((pair) =>
    others.every(({ established }) => established.has(pairName(pair))),
  );
  if (pairs.length > 0) return { holds: true, pairs };
  return least.value === undefined
    ? refuse(
        "R5-before-check",
        "something changes before the packet is compared with what the entry holds",
        least.at,
      )
    : refuse(
        "R5-verdict",
        "a packet that fails the comparison has another verdict than one whose index is not allocated",
        least.at,
      );
}

interface End {
  /** The verdict of a path without effects; undefined: it has one, or none is known. */
  readonly value: bigint | undefined;
  readonly established: ReadonlyMap<string, Pair>;
  readonly at: Place;
}

const pairName = ({ bit, form }: Pair): string => `${bit} ${form}`;

type Constants = ReadonlyMap<number, bigint>;

interface Point {
  readonly block: number;
  readonly index: number;
  readonly constants: Constants;
  readonly established: ReadonlyMap<string, Pair>;
}

class Walk {
  readonly ends: End[] = [];
  isEndless = false;
  readonly #cell: number;
  readonly #effects: ReadonlySet<string>;
  readonly #ground: Ground;
  readonly #fixed: Constants;
  readonly #seen = new Set<string>();
  #steps = 0;

  constructor(cell: number, effects: ReadonlySet<string>, ground: Ground) {
    this.#cell = cell;
    this.#effects = effects;
    this.#ground = ground;
    this.#fixed = constantsOf(ground.fn);
  }

  /** From a side of a block's branch; undefined: too many paths. */
  from(block: number, side: "then" | "otherwise" | "both"): this | undefined {
    const body = this.#ground.fn.blocks[block];
    if (body?.terminator.kind !== "branch") return this;
    const point = {
      block,
      index: 0,
      constants: new Map(),
      established: new Map(),
    };
    for (const next of this.#sides(point, side)) this.#walk(next);
    return this.isEndless ? undefined : this;
  }

  after(block: number, index: number): void {
    this.#walk({
      block,
      index: index + 1,
      constants: new Map(),
      established: new Map(),
    });
  }

  /** Can a look-up be reached from there? */
  reaches(block: number, lookups: readonly Touch[]): boolean {
    const targets = new Set(lookups.map(({ where }) => where.block));
    const seen = new Set<number>();
    const stack = [block];
    for (let at = stack.pop(); at !== undefined; at = stack.pop()) {
      if (targets.has(at)) return true;
      if (seen.has(at)) continue;
      seen.add(at);
      const terminator = this.#ground.fn.blocks[at]?.terminator;
      if (terminator?.kind === "jump") stack.push(terminator.to.block);
      if (terminator?.kind === "branch" || terminator?.kind === "may-goto")
        stack.push(terminator.then.block, terminator.otherwise.block);
    }
    return false;
  }

  #walk(start: Point): void {
    const stack = [start];
    for (let point = stack.pop(); point !== undefined; point = stack.pop()) {
      if (++this.#steps > MOST_STEPS) this.isEndless = true;
      if (this.isEndless) return;
      const name = pointName(point);
      if (this.#seen.has(name)) continue;
      this.#seen.add(name);
      const body = this.#ground.fn.blocks[point.block];
      if (body === undefined) continue;
      const effect = body.instructions.find(
        (_, index) =>
          index >= point.index && this.#effects.has(`${point.block}.${index}`),
      );
      if (effect !== undefined) {
        const { established } = point;
        this.ends.push({ value: undefined, established, at: effect.at });
        continue;
      }
      const { terminator } = body;
      switch (terminator.kind) {
        case "return":
        case "trap": {
          const value =
            terminator.kind === "return"
              ? this.#constant(terminator.value, point.constants)
              : undefined;
          const { established } = point;
          this.ends.push({
            value: value === undefined ? undefined : BigInt.asUintN(32, value),
            established,
            at: terminator.at,
          });
          break;
        }
        case "jump":
          stack.push(this.#cross(terminator.to, point));
          break;
        case "may-goto":
          stack.push(this.#cross(terminator.then, point));
          stack.push(this.#cross(terminator.otherwise, point));
          break;
        case "branch":
          stack.push(...this.#sides(point, "both"));
      }
    }
  }

  /** The points behind a block's branch. */
  #sides(point: Point, which: "then" | "otherwise" | "both"): Point[] {
    const { fn, comparisons } = this.#ground;
    const terminator = fn.blocks[point.block]?.terminator;
    if (terminator?.kind !== "branch") return [];
    const { op, width, left, right } = terminator;
    const a = this.#constant(left, point.constants);
    const b = this.#constant(right, point.constants);
    const decided =
      a === undefined || b === undefined
        ? undefined
        : compare(
            op,
            BigInt.asUintN(width, a),
            BigInt.asUintN(width, b),
            width,
          );
    const out: Point[] = [];
    for (const taken of [true, false]) {
      if (which !== "both" && taken !== (which === "then")) continue;
      if (decided !== undefined && decided !== taken) continue;
      const isNull = this.#nullSide(terminator, taken, point.constants);
      // A cell of an array is there for every key below the number of its cells, for
      // all cores alike.
      if (isNull === "array") continue;
      const constants = new Map(point.constants);
      if (isNull === "null") constants.set(left, 0n);
      const comparison = comparisons.get(point.block);
      const established = new Map(point.established);
      if (comparison?.equalOn === taken)
        for (const pair of comparison.pairs)
          if (pair.cell === this.#cell && this.#isKeyBit(pair))
            established.set(pairName(pair), pair);
      const edge = taken ? terminator.then : terminator.otherwise;
      out.push(this.#cross(edge, { ...point, constants, established }));
    }
    return out;
  }

  #isKeyBit({ bit }: Pair): boolean {
    const [from, to] = this.#ground.keyBits;
    return bit >= from && bit < to;
  }

  /** Is a pointer null on this side, and is it one into an array? */
  #nullSide(
    test: {
      readonly op: string;
      readonly left: number;
      readonly right: number;
    },
    taken: boolean,
    constants: Constants,
  ): "array" | "null" | undefined {
    const { fn, maps } = this.#ground;
    const type = fn.values[test.left];
    if (type?.kind !== "pointer" || type.region.kind !== "map-value")
      return undefined;
    if (this.#constant(test.right, constants) !== 0n) return undefined;
    if ((test.op === "jeq") !== taken || !["jeq", "jne"].includes(test.op))
      return undefined;
    const map = maps.get(type.region.map);
    const isLookup = fn.blocks.some(({ instructions }) =>
      instructions.some(
        (each) => each.kind === "call" && each.result === test.left,
      ),
    );
    return isLookup && map !== undefined && map.type === "array"
      ? "array"
      : "null";
  }

  #cross(
    edge: { readonly block: number; readonly args: readonly number[] },
    point: Point,
  ): Point {
    const constants = new Map(point.constants);
    const params = this.#ground.fn.blocks[edge.block]?.params ?? [];
    for (const [at, param] of params.entries()) {
      const arg = edge.args[at];
      const value =
        arg === undefined ? undefined : this.#constant(arg, point.constants);
      if (value === undefined) constants.delete(param);
      else constants.set(param, value);
    }
    return { ...point, block: edge.block, index: 0, constants };
  }

  #constant(value: number, constants: Constants): bigint | undefined {
    const known = constants.get(value) ?? this.#fixed.get(value);
    if (known !== undefined) return known;
    const source = extended(this.#ground.fn).get(value);
    const inner =
      source === undefined
        ? undefined
        : (constants.get(source) ?? this.#fixed.get(source));
    return inner === undefined ? undefined : BigInt.asUintN(32, inner);
  }
}

const pointName = ({ block, index, constants, established }: Point): string =>
  `${block}.${index} ${[...constants].join(";")} ${[...established.keys()].join()}`;

function constantsOf(fn: IrFunction): Constants {
  const found = new Map<number, bigint>();
  for (const { instructions } of fn.blocks)
    for (const each of instructions)
      if (each.kind === "const")
        found.set(each.result, BigInt.asUintN(64, each.value));
  return found;
}

/** What zero extensions to 32 bits are of. */
function extended(fn: IrFunction): ReadonlyMap<number, number> {
  let known = extensions.get(fn);
  if (known === undefined) {
    known = new Map(
      fn.blocks.flatMap(({ instructions }) =>
        instructions.flatMap((each) =>
          each.kind === "unary" && each.op === "zext32"
            ? [[each.result, each.value] as const]
            : [],
        ),
      ),
    );
    extensions.set(fn, known);
  }
  return known;
}

const extensions = new WeakMap<IrFunction, ReadonlyMap<number, number>>();

/** "block.index" of instructions that change something. */
function effectsOf(ground: Ground): ReadonlySet<string> {
  const { fn, touches } = ground;
  const bySpot = new Map<string, Touch[]>();
  for (const touch of touches)
    if (touch.where.function === 0) {
      const spot = spotOf(touch.where);
      bySpot.set(spot, [...(bySpot.get(spot) ?? []), touch]);
    }
  const found = new Set<string>();
  for (const { id, instructions } of fn.blocks)
    for (const [index, instruction] of instructions.entries()) {
      const spot = spotOf({ function: 0, block: id, index });
      if (isEffect(instruction, bySpot.get(spot) ?? [], ground))
        found.add(`${id}.${index}`);
    }
  return found;
}

function isEffect(
  instruction: IrInstruction,
  touches: readonly Touch[],
  { fn, symbols, maps }: Ground,
): boolean {
  if (instruction.kind === "store") {
    const type = fn.values[instruction.address];
    if (type?.kind === "pointer" && type.region.kind === "slot") return false;
    return (
      touches.length === 0 ||
      !touches.every((touch) => isWrittenBack(touch, symbols))
    );
  }
  if (instruction.kind !== "call") return instruction.kind === "atomic";
  const { callee } = instruction;
  const signature =
    callee.kind === "helper"
      ? helperByNumber(callee.helper)
      : callee.kind === "kfunc"
        ? kfuncByName(callee.name)
        : undefined;
  if (signature?.args === undefined || signature.effects.length > 0)
    return true;
  // A look-up is news for a map that evicts what was not used.
  return touches.some(({ object }) =>
    maps.get(object)?.type.startsWith("lru_"),
  );
}
