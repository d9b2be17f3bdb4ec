/**
 * Conditional constant propagation: the words that values have in every run, and the
 * blocks that some run reaches, as far as constants and read-only data decide it.
 *
 *   nothing (not reached)  <  a word  <  anything
 *
 * Over a whole function, or over one round of a loop: from its header, with what its
 * parameters are then, until it is left or begins again.
 *
 * Source: Wegman, Zadeck, "Constant Propagation with Conditional Branches", TOPLAS 1991.
 */
import type { MapSpec } from "../isa/index.ts";
import { edgesOf, graphOf, graphReversePostorder } from "./graph.ts";
import type {
  Edge,
  IrFunction,
  IrInstruction,
  IrProgram,
  Terminator,
  ValueId,
} from "./program.ts";
import {
  foldBinary,
  foldBranch,
  foldConcat,
  foldExtract,
  foldUnary,
} from "./word.ts";

export type Word = bigint | "any";

/** Data sections that nothing writes, by name. */
export type FrozenData = ReadonlyMap<string, MapSpec>;

export function frozenData({ maps }: IrProgram): FrozenData {
  return new Map(
    maps
      .filter(({ readOnly, data }) => readOnly && data !== undefined)
      .map((map) => [map.name, map]),
  );
}

export interface Propagated {
  readonly reached: ReadonlySet<number>;
  /** Of reached blocks whose branch has one outcome. */
  readonly outcomes: ReadonlyMap<number, boolean>;
  readonly words: ReadonlyMap<ValueId, Word>;
  /** Of a round: what the header's parameters are in the next; absent: there is none. */
  readonly next?: readonly Word[];
}

/** One round of a loop. */
export interface Round {
  readonly header: number;
  readonly blocks: ReadonlySet<number>;
  /** Reverse postorder of the loop's blocks. */
  readonly order: readonly number[];
  /** What the header's parameters are. */
  readonly params: readonly Word[];
  /** What is known of values from outside. */
  readonly outside: ReadonlyMap<ValueId, Word>;
}

/** Rounds over the blocks until nothing rises; a value rises at most twice. */
export function propagate(
  fn: IrFunction,
  frozen: FrozenData,
  round?: Round,
): Propagated {
  const words = new Map<ValueId, Word>(round?.outside);
  for (const param of fn.params) words.set(param, "any");
  const start = round?.header ?? 0;
  const reached = new Set<number>([start]);
  const outcomes = new Map<number, boolean>();
  const order = round?.order ?? graphReversePostorder(graphOf(fn));
  let next: (Word | undefined)[] | undefined;
  let changed = true;
  const raise = (value: ValueId, word: Word | undefined): void => {
    const before = words.get(value);
    if (word === undefined || before === "any" || before === word) return;
    words.set(value, before === undefined ? word : "any");
    changed = true;
  };
  const flow = (edge: Edge): void => {
    if (round !== undefined && !round.blocks.has(edge.block)) return;
    if (edge.block === round?.header) {
      next ??= [];
      for (const [at, argument] of edge.args.entries())
        next[at] = joinWords(next[at], words.get(argument));
      return;
    }
    if (!reached.has(edge.block)) changed = true;
    reached.add(edge.block);
    for (const [at, param] of (fn.blocks[edge.block]?.params ?? []).entries()) {
      const argument = edge.args[at];
      raise(param, argument === undefined ? "any" : words.get(argument));
    }
  };
  for (const [at, param] of (fn.blocks[start]?.params ?? []).entries())
    words.set(param, round?.params[at] ?? "any");
  while (changed) {
    changed = false;
    for (const at of order) {
      const block = fn.blocks[at];
      if (block === undefined || !reached.has(at)) continue;
      for (const instruction of block.instructions)
        if ("result" in instruction)
          raise(instruction.result, wordOf(instruction, { fn, words, frozen }));
      const { terminator } = block;
      const outcome = outcomeOf(terminator, words);
      outcomes.delete(at);
      if (typeof outcome === "boolean") outcomes.set(at, outcome);
      const [then, otherwise] = edgesOf(terminator);
      if (then !== undefined && outcome !== false && outcome !== "waits")
        flow(then);
      if (otherwise !== undefined && outcome !== true && outcome !== "waits")
        flow(otherwise);
    }
  }
  return {
    reached,
    outcomes,
    words,
    ...(next === undefined ? {} : { next: next.map((word) => word ?? "any") }),
  };
}

function joinWords(
  one: Word | undefined,
  other: Word | undefined,
): Word | undefined {
  if (one === undefined || other === undefined) return one ?? other;
  return one === other ? one : "any";
}

/** One outcome, either, or an operand that nothing is known of yet. */
function outcomeOf(
  terminator: Terminator,
  words: ReadonlyMap<ValueId, Word>,
): boolean | "either" | "waits" {
  if (terminator.kind !== "branch") return "either";
  const left = words.get(terminator.left);
  const right = words.get(terminator.right);
  if (left === undefined || right === undefined) return "waits";
  if (left === "any" || right === "any") return "either";
  return foldBranch(terminator.op, terminator.width, left, right);
}

interface Scope {
  readonly fn: IrFunction;
  readonly words: ReadonlyMap<ValueId, Word>;
  readonly frozen: ReadonlyMap<string, MapSpec>;
}

function wordOf(instruction: IrInstruction, scope: Scope): Word | undefined {
  const { words } = scope;
  const fold = (
    values: readonly ValueId[],
    make: (...known: bigint[]) => bigint,
  ): Word | undefined => {
    const known: bigint[] = [];
    let isAny = false;
    for (const value of values) {
      const word = words.get(value);
      if (word === undefined) return undefined;
      if (word === "any") isAny = true;
      else known.push(word);
    }
    return isAny ? "any" : make(...known);
  };
  switch (instruction.kind) {
    case "const":
      return BigInt.asUintN(64, instruction.value);
    case "binary": {
      const { op, width, left, right } = instruction;
      // What a number hides behind from the verifier, so that a loop stays one.
      if (left === right && (op === "xor" || op === "sub")) return 0n;
      return fold([left, right], (a = 0n, b = 0n) =>
        foldBinary(op, width, a, b),
      );
    }
    case "unary":
      return fold([instruction.value], (a = 0n) =>
        foldUnary(instruction.op, a),
      );
    case "extract": {
      const { value, start, size } = instruction;
      return fold([value], (a = 0n) => foldExtract(a, start, size));
    }
    case "concat": {
      const { parts } = instruction;
      return fold(
        parts.map(({ value }) => value),
        (...known) =>
          foldConcat(
            parts.map(({ size }, at) => ({ value: known[at] ?? 0n, size })),
          ),
      );
    }
    case "load":
      return frozenWord(instruction, scope);
    case "map":
    case "map-value":
    case "function":
    case "kernel-symbol":
    case "slot":
    case "undefined":
    case "store":
    case "atomic":
    case "call":
    case "address-cast":
    case "load-packet":
      return "any";
  }
}

/** A load from a read-only data section, at a place that is known. */
export function frozenWord(
  load: IrInstruction & { readonly kind: "load" },
  { fn, frozen }: Pick<Scope, "fn" | "frozen">,
): Word {
  const type = fn.values[load.address];
  if (type?.kind !== "pointer" || type.region.kind !== "map-value")
    return "any";
  const data = frozen.get(type.region.map)?.data;
  if (data === undefined || type.offset === undefined) return "any";
  const from = type.offset + load.offset;
  if (from < 0 || from + load.size > data.length) return "any";
  let word = 0n;
  for (let at = load.size - 1; at >= 0; at--)
    word = (word << 8n) | BigInt(data[from + at] ?? 0);
  return load.signed
    ? BigInt.asUintN(64, BigInt.asIntN(8 * load.size, word))
    : word;
}
