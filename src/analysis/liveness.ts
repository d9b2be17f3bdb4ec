/**
 * Which values are worth carrying from block to block: those that are live there
 * and on which a key, an address, a fact or the memory of the frame may depend.
 *
 * Both passes walk backwards from uses, so their cost is the size of the answer.
 */
import type { Edge, IrFunction, IrInstruction, Terminator } from "../ir/index.ts";

export interface Liveness {
  /** Per block, ids of values that are live at its start; its own parameters not among them. */
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
  const live: Set<number>[] = fn.blocks.map(() => new Set());
  const mark = (value: number, block: number): void => {
    if (relevant[value] !== true) return;
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

export function edgesOf(terminator: Terminator): readonly Edge[] {
  switch (terminator.kind) {
    case "jump":
      return [terminator.to];
    case "branch":
    case "may-goto":
      return [terminator.then, terminator.otherwise];
    case "return":
    case "trap":
      return [];
  }
}

/** Values that an instruction uses. */
export function operandsOf(instruction: IrInstruction): readonly number[] {
  switch (instruction.kind) {
    case "const":
    case "map":
    case "map-value":
    case "function":
    case "kernel-symbol":
    case "slot":
    case "undefined":
      return [];
    case "binary":
      return [instruction.left, instruction.right];
    case "unary":
    case "extract":
    case "address-cast":
      return [instruction.value];
    case "concat":
      return instruction.parts.map((part) => part.value);
    case "load":
      return [instruction.address];
    case "store":
      return [instruction.address, instruction.value];
    case "atomic":
      return instruction.expected === undefined
        ? [instruction.address, instruction.value]
        : [instruction.address, instruction.value, instruction.expected];
    case "call":
      return instruction.args;
    case "load-packet":
      return instruction.index === undefined
        ? [instruction.context]
        : [instruction.context, instruction.index];
  }
}

/** Values that a terminator looks at; a returned verdict matters to no key. */
function testedBy(terminator: Terminator): readonly number[] {
  return terminator.kind === "branch"
    ? [terminator.left, terminator.right]
    : [];
}

function predecessors(fn: IrFunction): readonly (readonly number[])[] {
  const preds: number[][] = fn.blocks.map(() => []);
  for (const block of fn.blocks)
    for (const edge of edgesOf(block.terminator))
      preds[edge.block]?.push(block.id);
  return preds;
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

function matters(instruction: IrInstruction): boolean {
  switch (instruction.kind) {
    case "load":
    case "store":
    case "atomic":
    case "call":
    case "load-packet":
      return true;
    default:
      return false;
  }
}
