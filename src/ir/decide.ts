/**
 * What frozen data decides: branches whose outcome follows from constants and from
 * read-only variables, and so edges that no packet can take.
 *
 * An option of a program is a read-only variable, and the side that it turns off is
 * still in the bytecode; the kernel's verifier leaves such code out too. Conditional
 * constant propagation, a function at a time; parameters may be anything.
 *
 *   nothing (not reached)  <  a word  <  anything
 *
 * One-way sound: an edge called infeasible is taken by no packet as long as the data
 * section stays as it is; an edge not called so may still be.
 *
 * Source: Wegman, Zadeck, "Constant Propagation with Conditional Branches", TOPLAS 1991.
 */
import type { Place } from "../base/index.ts";
import type { MapSpec } from "../isa/index.ts";
import { removeDeadCode } from "./dead-code.ts";
import { edgesOf, graphOf, graphReversePostorder } from "./graph.ts";
import type {
  Block,
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

export interface Decided {
  /** Decided branches are jumps; what nothing reaches is gone. */
  readonly program: IrProgram;
  readonly infeasible: readonly (Place & { readonly taken: boolean })[];
}

export function decide(program: IrProgram): Decided {
  const frozen = new Map(
    program.maps
      .filter(({ readOnly, data }) => readOnly && data !== undefined)
      .map((map) => [map.name, map]),
  );
  const infeasible: (Place & { taken: boolean })[] = [];
  const functions = program.functions.map((fn) => {
    const { reached, outcomes } = propagate(fn, frozen);
    return removeDeadCode({
      ...fn,
      blocks: fn.blocks.map((block): Block => {
        const { terminator } = block;
        const outcome = outcomes.get(block.id);
        const isReached = reached.has(block.id);
        if (terminator.kind === "branch")
          for (const taken of [true, false])
            if (!isReached || outcome === !taken)
              infeasible.push({ ...terminator.at, taken });
        if (terminator.kind !== "branch" || outcome === undefined) return block;
        const to = outcome ? terminator.then : terminator.otherwise;
        return {
          ...block,
          terminator: { kind: "jump", to, at: terminator.at },
        };
      }),
    });
  });
  return { program: { ...program, functions }, infeasible };
}

type Word = bigint | "any";

interface Propagated {
  readonly reached: ReadonlySet<number>;
  /** Of reached blocks whose branch has one outcome. */
  readonly outcomes: ReadonlyMap<number, boolean>;
}

/** Rounds over the blocks until nothing rises; a value rises at most twice. */
function propagate(
  fn: IrFunction,
  frozen: ReadonlyMap<string, MapSpec>,
): Propagated {
  const words = new Map<ValueId, Word>(
    fn.params.map((param) => [param, "any"]),
  );
  const reached = new Set<number>([0]);
  const outcomes = new Map<number, boolean>();
  const order = graphReversePostorder(graphOf(fn));
  let changed = true;
  const raise = (value: ValueId, word: Word | undefined): void => {
    const before = words.get(value);
    if (word === undefined || before === "any" || before === word) return;
    words.set(value, before === undefined ? word : "any");
    changed = true;
  };
  const flow = (edge: Edge): void => {
    if (!reached.has(edge.block)) changed = true;
    reached.add(edge.block);
    for (const [at, param] of (fn.blocks[edge.block]?.params ?? []).entries()) {
      const argument = edge.args[at];
      raise(param, argument === undefined ? "any" : words.get(argument));
    }
  };
  for (const param of fn.blocks[0]?.params ?? []) words.set(param, "any");
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
  return { reached, outcomes };
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
function frozenWord(
  load: IrInstruction & { readonly kind: "load" },
  { fn, frozen }: Scope,
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
