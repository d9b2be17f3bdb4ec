/**
 * Which values are worth carrying from block to block: those that are live there
 * and on which a key, an address, a fact or the memory of the frame may depend.
 *
 * Both passes walk backwards from uses, so their cost is the size of the answer.
 */
import {
  edgesOf,
  operandsOf,
  predecessors,
  type IrFunction,
  type IrInstruction,
  type Terminator,
} from "../ir/index.ts";

export interface Liveness {
  /** Per block, ids of values that are live at its start; its own parameters and leaves not among them. */
  readonly liveIn: readonly (readonly number[])[];
  /** Per value: does any key, address or fact depend on it? */
  readonly relevant: readonly boolean[];
}

export function livenessOf(fn: IrFunction): Liveness {
  const relevant = relevance(fn);
  const preds = predecessors(fn);
  const home: number[] = fn.values.map(() => 0);
  for (const block of fn.blocks) {
    for (const param of block.params) home[param] = block.id;
    for (const instruction of block.instructions)
      if ("result" in instruction) home[instruction.result] = block.id;
  }
  const leaf: boolean[] = fn.values.map(() => false);
  for (const instruction of fn.blocks.flatMap((block) => block.instructions))
    if ("result" in instruction && isLeaf(instruction))
      leaf[instruction.result] = true;
  const live: Set<number>[] = fn.blocks.map(() => new Set());
  const mark = (value: number, block: number): void => {
    if (relevant[value] !== true || leaf[value] === true) return;
    const stack = [block];
    for (let at = stack.pop(); at !== undefined; at = stack.pop()) {
      if (home[value] === at || live[at]?.has(value) === true) continue;
      live[at]?.add(value);
      stack.push(...(preds[at] ?? []));
    }
  };
  for (const block of fn.blocks) {
    for (const instruction of block.instructions)
      for (const value of operandsOf(instruction)) mark(value, block.id);
    for (const value of testedBy(block.terminator)) mark(value, block.id);
    for (const edge of edgesOf(block.terminator))
      for (const value of edge.args) mark(value, block.id);
  }
  return { liveIn: live.map((values) => [...values]), relevant };
}

/** Values that a terminator looks at; a returned verdict matters to no key. */
function testedBy(terminator: Terminator): readonly number[] {
  return terminator.kind === "branch"
    ? [terminator.left, terminator.right]
    : [];
}

function relevance(fn: IrFunction): readonly boolean[] {
  const relevant: boolean[] = fn.values.map(() => false);
  const sources: (readonly number[])[] = fn.values.map(() => []);
  const stack: number[] = [];
  const need = (values: readonly number[]): void => {
    for (const value of values)
      if (relevant[value] === false) {
        relevant[value] = true;
        stack.push(value);
      }
  };
  for (const block of fn.blocks) {
    for (const instruction of block.instructions) {
      if ("result" in instruction)
        sources[instruction.result] = operandsOf(instruction);
      if (matters(instruction)) need(operandsOf(instruction));
    }
    need(testedBy(block.terminator));
    for (const { block: to, args } of edgesOf(block.terminator))
      for (const [index, param] of (fn.blocks[to]?.params ?? []).entries()) {
        const arg = args[index];
        if (arg !== undefined)
          sources[param] = [...(sources[param] ?? []), arg];
      }
  }
  for (let value = stack.pop(); value !== undefined; value = stack.pop())
    need(sources[value] ?? []);
  return relevant;
}

/** Does it make the same of nothing wherever it stands? Such values need no carrying. */
export function isLeaf({ kind }: IrInstruction): boolean {
  return (
    kind === "const" ||
    kind === "map" ||
    kind === "map-value" ||
    kind === "function" ||
    kind === "slot"
  );
}

const touching: readonly IrInstruction["kind"][] = [
  "load",
  "store",
  "atomic",
  "call",
  "load-packet",
];

/** Does it look at its operands beyond making a value of them? */
export function matters({ kind }: IrInstruction): boolean {
  return touching.includes(kind);
}
