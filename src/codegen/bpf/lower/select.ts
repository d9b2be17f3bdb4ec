/**
 * Selection: IR to low code. Blocks and instructions from the last to the first,
 * so that what nobody uses is never selected.
 *
 *   - Constants go into immediates, constant distances into offsets of accesses.
 *   - A zero extension of a word that is narrow enough is the word.
 *   - Parameters that always equal another value are that value.
 *   - Edges that leave a branch and meet others get a block of their own, so that
 *     arguments stand at jumps only.
 */
import { Bug } from "../../../base/index.ts";
import {
  edgesOf,
  type Block,
  type BlockId,
  type Edge,
  type IrFunction,
  type Terminator,
  type ValueId,
} from "../../../ir/index.ts";
import type { Register } from "../../../isa/index.ts";
import { blockOrder } from "./block-order.ts";
import { equalValues } from "./equal-values.ts";
import type {
  LowBlock,
  LowFunction,
  LowInstruction,
  LowTerminator,
  Source,
  Virtual,
} from "./low-code.ts";
import { selectInstruction, type SelectOptions } from "./select-instruction.ts";
import { selectBranch } from "./select-branch.ts";
import { Operands } from "./select-operands.ts";
import { placeSlots, type SlotPlaces } from "./slot-places.ts";
import { valueFacts } from "./value-facts.ts";

export function select(fn: IrFunction, options: SelectOptions): LowFunction {
  return new Selection(fn, options).run();
}

class Selection {
  readonly #fn: IrFunction;
  readonly #options: SelectOptions;
  readonly #operands: Operands;
  /** Ways into each block. */
  readonly #incoming: readonly Edge[][];
  readonly #places: SlotPlaces;
  readonly #same: (value: ValueId) => ValueId;

  constructor(fn: IrFunction, options: SelectOptions) {
    this.#fn = fn;
    this.#options = options;
    this.#incoming = fn.blocks.map(() => []);
    const facts = valueFacts(fn);
    this.#places = placeSlots(fn, facts);
    this.#same = equalValues(fn, facts);
    for (const block of facts.order)
      for (const edge of edgesOf(block.terminator))
        this.#incoming[edge.block]?.push(edge);
    this.#operands = new Operands(fn, facts, {
      slotOffset: this.#places.offsetOf,
      same: this.#same,
    });
  }

  run(): LowFunction {
    const order = blockOrder(this.#fn);
    const pinned = this.#pinContext();
    const drafts: Draft[] = [];
    // Index in the result of each block; split edges stand behind their source.
    const place = new Map<BlockId, number>();
    let next = 0;
    for (const at of order.blocks) {
      const block = this.#fn.blocks[at];
      if (block === undefined) throw new Bug(`no block b${at}`);
      place.set(at, next);
      const splits = this.#splits(block);
      drafts.push({ block, first: next, splits, depth: order.depth(at) });
      next += 1 + splits.length;
    }
    const target = (block: BlockId): number => {
      const found = place.get(block);
      if (found === undefined) throw new Bug(`b${block} is not reached`);
      return found;
    };
    const blocks: LowBlock[] = [];
    for (const draft of drafts.toReversed()) {
      const { block, splits, depth } = draft;
      for (const edge of splits.toReversed())
        blocks.push({
          params: [],
          instructions: [],
          terminator: this.#jump(edge, target, block.terminator),
          depth: Math.min(depth, order.depth(edge.block)),
        });
      blocks.push(this.#block(draft, target));
    }
    return {
      name: this.#fn.name,
      params: this.#fn.params.map((value) => this.#operands.virtualOf(value)),
      blocks: blocks.reverse(),
      virtuals: this.#operands.count,
      pinned,
      taken: this.#places.taken,
    };
  }

  /** LD_ABS and LD_IND want the context in r6. */
  #pinContext(): ReadonlyMap<Virtual, Register> {
    const contexts = new Set<ValueId>();
    for (const block of this.#fn.blocks)
      for (const instruction of block.instructions)
        if (instruction.kind === "load-packet")
          contexts.add(instruction.context);
    const [first] = contexts;
    if (first === undefined) return new Map();
    const virtual = this.#operands.pin(contexts);
    return new Map([[virtual, 6]]);
  }

  /** Edges of a branch that lead to where others lead too. */
  #splits(block: Block): readonly Edge[] {
    const edges = edgesOf(block.terminator);
    if (edges.length < 2) return [];
    return edges.filter(
      (edge) => (this.#incoming[edge.block]?.length ?? 0) > 1,
    );
  }

  #jump(
    edge: Edge,
    target: (block: BlockId) => number,
    { at }: Terminator,
  ): LowTerminator {
    return {
      kind: "jump",
      to: target(edge.block),
      args: this.#arguments(edge),
      at,
    };
  }

  /** For the parameters that no other value stands for. */
  #arguments(edge: Edge): readonly Source[] {
    const params = this.#fn.blocks[edge.block]?.params ?? [];
    return edge.args.flatMap((value, index) => {
      const param = params[index];
      return param === undefined || this.#same(param) !== param
        ? []
        : [this.#operands.source(value)];
    });
  }

  #block(draft: Draft, target: (block: BlockId) => number): LowBlock {
    const { block, depth } = draft;
    const instructions: LowInstruction[] = [];
    // From the last to the first; what one IR instruction needs stands forward.
    const put = (sequence: readonly LowInstruction[]): void => {
      for (let at = sequence.length - 1; at >= 0; at--) {
        const instruction = sequence[at];
        if (instruction !== undefined) instructions.push(instruction);
      }
    };
    const end = this.#terminator(draft, target);
    put(end.before);
    for (let at = block.instructions.length - 1; at >= 0; at--) {
      const instruction = block.instructions[at];
      if (instruction === undefined) continue;
      put(
        selectInstruction(instruction, this.#operands, {
          fn: this.#fn,
          ...this.#options,
        }),
      );
    }
    return {
      params: block.params
        .filter((param) => this.#same(param) === param)
        .map((param) => this.#operands.virtualOf(param)),
      instructions: instructions.reverse(),
      terminator: end.terminator,
      depth,
    };
  }

  #terminator(
    { block, first, splits }: Draft,
    target: (block: BlockId) => number,
  ): {
    readonly before: readonly LowInstruction[];
    readonly terminator: LowTerminator;
  } {
    const { terminator } = block;
    const { at } = terminator;
    const through = (edge: Edge): number => {
      const split = splits.indexOf(edge);
      return split < 0 ? target(edge.block) : first + 1 + split;
    };
    switch (terminator.kind) {
      case "jump":
        return {
          before: [],
          terminator: this.#jump(terminator.to, target, terminator),
        };
      case "branch": {
        const [then, otherwise] = [terminator.then, terminator.otherwise];
        return selectBranch(terminator, this.#operands, {
          then: through(then),
          otherwise: through(otherwise),
        });
      }
      case "may-goto":
        return {
          before: [],
          terminator: {
            kind: "may-goto",
            then: through(terminator.then),
            otherwise: through(terminator.otherwise),
            at,
          },
        };
      case "return": {
        const value = this.#operands.source(terminator.value);
        return { before: [], terminator: { kind: "return", value, at } };
      }
      case "trap":
        return { before: [], terminator: { kind: "trap", at } };
    }
  }
}

interface Draft {
  readonly block: Block;
  readonly first: number;
  readonly splits: readonly Edge[];
  readonly depth: number;
}
