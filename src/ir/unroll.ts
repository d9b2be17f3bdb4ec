/**
 * Loops whose rounds are known, written out: once per round, one after another.
 *
 *   p → H → B ─┐         p → H₀ → B₀ → H₁ → B₁ → H₂ → …
 *       ↑ ↘ x  │    →        ↓         ↓         ↓
 *       └──────┘             x(…)      x(…)      x(…)
 *
 * For analysis: what a loop does with `levels >> i & 1` it does with a number then. A
 * compiler unrolls some loops and not others, and the answer should not depend on it.
 * What is known of a round comes from constants.ts: the header's parameters on entry,
 * and from them those of the next round, until none begins again. A loop that depends
 * on a packet or on state stays a loop, and so does one with too many rounds or
 * instructions.
 *
 * Values of a loop that are used behind it are put together again where its exits meet
 * (Cytron et al., 1991). Law: the program does the same.
 */
import { Bug, id } from "../base/index.ts";
import {
  frozenData,
  propagate,
  type FrozenData,
  type Word,
} from "./constants.ts";
import { removeDeadCode } from "./dead-code.ts";
import { decide } from "./decide.ts";
import { edgesOf, graphOf, reversePostorder } from "./graph.ts";
import { loops, type Loop } from "./loops.ts";
import {
  mapInstruction,
  mapTerminator,
  operandsOf,
  terminatorOperands,
} from "./operands.ts";
import type {
  Block,
  BlockId,
  Edge,
  IrFunction,
  IrProgram,
  ValueId,
} from "./program.ts";
import { simplify } from "./simplify.ts";
import { planSsa, type VariableUse } from "./ssa.ts";
import { scalar } from "./value-type.ts";

export interface UnrollOptions {
  /** A loop with more stays one. */
  readonly rounds: number;
  /** Instructions that a function may have in the end. */
  readonly instructions: number;
}

/** The same program without loops that count to a number; decided, as `decide` does. */
export function unrollLoops(
  program: IrProgram,
  options: UnrollOptions,
): IrProgram {
  const frozen = frozenData(program);
  let now = program;
  // An inner loop may be known only where the outer one is written out.
  for (let sweep = 0; sweep < mostSweeps; sweep++) {
    let changed = false;
    const functions = now.functions.map((fn) => {
      const unrolled = unrollFunction(fn, frozen, options);
      changed ||= unrolled !== fn;
      return unrolled;
    });
    if (!changed) return now;
    now = simplify(decide({ ...now, functions }).program);
  }
  return now;
}

/** Loops inside loops, so many deep. */
const mostSweeps = 4;

function unrollFunction(
  fn: IrFunction,
  frozen: FrozenData,
  options: UnrollOptions,
): IrFunction {
  const forest = loops(fn);
  if (forest.loops.length === 0) return fn;
  const { words } = propagate(fn, frozen);
  const odd = new Set(forest.irreducible);
  const done = new Set<BlockId>();
  let size = sizeOf(fn.blocks);
  let now = fn;
  // Inner loops first; what contains one that was written out waits for the next sweep.
  for (const loop of forest.loops.toReversed()) {
    if (loop.blocks.some((block) => done.has(block) || odd.has(block)))
      continue;
    const once = sizeOf(loop.blocks.flatMap((at) => fn.blocks[at] ?? []));
    const room = Math.floor((options.instructions - size) / once) + 1;
    const rounds = countRounds(fn, loop, {
      frozen,
      words,
      most: Math.min(options.rounds, room),
    });
    if (rounds === undefined) continue;
    size += once * (rounds - 1);
    now = writtenOut(now, loop, rounds);
    for (const block of loop.blocks) done.add(block);
  }
  return done.size === 0 ? fn : removeDeadCode(now);
}

function sizeOf(blocks: readonly Block[]): number {
  return blocks.reduce((sum, block) => sum + block.instructions.length + 1, 0);
}

/** How often the header is entered; undefined: not known, or too often. */
function countRounds(
  fn: IrFunction,
  loop: Loop,
  given: {
    readonly frozen: FrozenData;
    readonly words: ReadonlyMap<ValueId, Word>;
    readonly most: number;
  },
): number | undefined {
  const { header } = loop;
  const blocks = new Set<number>(loop.blocks);
  const order = reversePostorder(fn).filter((block) => blocks.has(block));
  const outside = outsideWords(fn, loop, given.words);
  let params = enteringWords(fn, loop, given.words);
  for (let rounds = 1; rounds <= given.most; rounds++) {
    const { next } = propagate(fn, given.frozen, {
      header,
      blocks,
      order,
      params,
      outside,
    });
    if (next === undefined) return rounds;
    // The same round again: it ends with a packet, or never.
    if (next.every((word, at) => word === params[at] || word === "any"))
      return undefined;
    params = next;
  }
  return undefined;
}

/** Of values that the loop reads and does not make. */
function outsideWords(
  fn: IrFunction,
  loop: Loop,
  words: ReadonlyMap<ValueId, Word>,
): ReadonlyMap<ValueId, Word> {
  const outside = new Map<ValueId, Word>();
  const own = new Set<ValueId>();
  for (const at of loop.blocks)
    for (const value of definedIn(fn.blocks[at])) own.add(value);
  for (const at of loop.blocks)
    for (const value of readIn(fn.blocks[at]))
      if (!own.has(value)) outside.set(value, words.get(value) ?? "any");
  return outside;
}

/** What the header's parameters are on the way in. */
function enteringWords(
  fn: IrFunction,
  loop: Loop,
  words: ReadonlyMap<ValueId, Word>,
): readonly Word[] {
  const inside = new Set(loop.blocks);
  const params = fn.blocks[loop.header]?.params ?? [];
  const entering = params.map((): Word | undefined => undefined);
  for (const block of fn.blocks) {
    if (inside.has(block.id)) continue;
    for (const edge of edgesOf(block.terminator)) {
      if (edge.block !== loop.header) continue;
      for (const [at, argument] of edge.args.entries()) {
        const word = words.get(argument);
        if (word === undefined) continue;
        const before = entering[at];
        entering[at] = before === undefined || before === word ? word : "any";
      }
    }
  }
  return entering.map((word) => word ?? "any");
}

function definedIn(block: Block | undefined): readonly ValueId[] {
  if (block === undefined) return [];
  return [
    ...block.params,
    ...block.instructions.flatMap((each) =>
      "result" in each ? [each.result] : [],
    ),
  ];
}

function readIn(block: Block | undefined): readonly ValueId[] {
  if (block === undefined) return [];
  return [
    ...block.instructions.flatMap(operandsOf),
    ...terminatorOperands(block.terminator),
    ...edgesOf(block.terminator).flatMap(({ args }) => args),
  ];
}

/** Copy 0 keeps its names; the last one's way back leads nowhere. */
function writtenOut(fn: IrFunction, loop: Loop, rounds: number): IrFunction {
  const inside = new Set<BlockId>(loop.blocks);
  const blocks: Block[] = [...fn.blocks];
  const values = [...fn.values];
  const own = loop.blocks.flatMap((at) => definedIn(fn.blocks[at]));
  const place = new Map(loop.blocks.map((block, at) => [block, at]));
  const first = blocks.length;
  const copyOf = (block: BlockId, round: number): BlockId =>
    round === 0
      ? block
      : id(first + (round - 1) * loop.blocks.length + (place.get(block) ?? 0));
  const nowhere = id<"b">(first + (rounds - 1) * loop.blocks.length);
  /** Block → values of the loop that it makes, under the names of copy 0. */
  const makes = new Map<BlockId, ReadonlyMap<ValueId, ValueId>>();
  for (let round = 0; round < rounds; round++) {
    const names = new Map<ValueId, ValueId>();
    for (const value of own) {
      if (round > 0) values.push(fn.values[value] ?? scalar);
      names.set(value, round === 0 ? value : id(values.length - 1));
    }
    const rename = (value: ValueId): ValueId => names.get(value) ?? value;
    const edge = ({ block, args }: Edge): Edge => {
      if (block === loop.header && round === rounds - 1)
        return { block: nowhere, args: [] };
      const to = !inside.has(block)
        ? block
        : copyOf(block, block === loop.header ? round + 1 : round);
      return { block: to, args: args.map(rename) };
    };
    for (const at of loop.blocks) {
      const block = fn.blocks[at];
      if (block === undefined) throw new Bug(`no block b${at}`);
      const copy = copyOf(at, round);
      blocks[copy] = {
        id: copy,
        params: block.params.map(rename),
        instructions: block.instructions.map((instruction) =>
          mapInstruction(instruction, { value: rename, result: rename }),
        ),
        terminator: mapTerminator(block.terminator, rename, edge),
      };
      makes.set(
        copy,
        new Map(definedIn(block).map((value) => [value, rename(value)])),
      );
    }
  }
  const at = fn.blocks[loop.header]?.terminator.at;
  if (at === undefined) throw new Bug("a loop without a header");
  blocks[nowhere] = {
    id: nowhere,
    params: [],
    instructions: [],
    terminator: { kind: "trap", reason: "a round too many", at },
  };
  return joined({ ...fn, blocks, values }, makes);
}

/** Values of the copies, under one name where they are used behind the loop. */
function joined(
  fn: IrFunction,
  makes: ReadonlyMap<BlockId, ReadonlyMap<ValueId, ValueId>>,
): IrFunction {
  const made = new Set([...makes.values()].flatMap((each) => [...each.keys()]));
  const wanted = new Map<ValueId, number>();
  for (const block of fn.blocks)
    if (!makes.has(block.id))
      for (const value of readIn(block))
        if (made.has(value) && !wanted.has(value))
          wanted.set(value, wanted.size);
  if (wanted.size === 0) return fn;
  const variables = [...wanted.keys()];
  const known = (values: Iterable<ValueId>): number[] =>
    [...values].flatMap((value) => wanted.get(value) ?? []);
  const plan = planSsa(
    graphOf(fn),
    variables.length,
    fn.blocks.map((block): VariableUse => {
      const own = makes.get(block.id);
      return own === undefined
        ? { uses: known(readIn(block)), defines: [] }
        : { uses: [], defines: known(own.keys()) };
    }),
  );
  const values = [...fn.values];
  /** Block → variable → the parameter that brings it. */
  const brings = plan.parameters.map((list) => {
    const names = new Map<number, ValueId>();
    for (const variable of list) {
      names.set(variable, id(values.length));
      values.push(fn.values[variables[variable] ?? 0] ?? scalar);
    }
    return names;
  });
  /** What a variable is called at the end of a block, or where it begins. */
  const nameIn = (block: number, variable: number, ends: boolean): ValueId => {
    for (let at = block, isEnd = ends; at >= 0; isEnd = true) {
      const origin = variables[variable];
      const own =
        isEnd && origin !== undefined
          ? makes.get(id(at))?.get(origin)
          : undefined;
      const name = own ?? brings[at]?.get(variable);
      if (name !== undefined) return name;
      at = plan.tree.parent[at] ?? -1;
    }
    throw new Bug(`${fn.name}: a value of a loop is used before it`);
  };
  const blocks = fn.blocks.map((block): Block => {
    if (!plan.tree.dominates(0, block.id)) return block;
    const isOutside = !makes.has(block.id);
    const rename = (value: ValueId): ValueId => {
      const variable = isOutside ? wanted.get(value) : undefined;
      return variable === undefined ? value : nameIn(block.id, variable, false);
    };
    return {
      ...block,
      params: [...block.params, ...(brings[block.id]?.values() ?? [])],
      instructions: isOutside
        ? block.instructions.map((instruction) =>
            mapInstruction(instruction, { value: rename }),
          )
        : block.instructions,
      terminator: mapTerminator(block.terminator, rename, (edge) => ({
        block: edge.block,
        args: [
          ...edge.args.map(rename),
          ...[...(brings[edge.block]?.keys() ?? [])].map((variable) =>
            nameIn(block.id, variable, true),
          ),
        ],
      })),
    };
  });
  return { ...fn, blocks, values };
}
