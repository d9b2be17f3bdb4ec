/**
 * IR to threaded code.
 *
 *   slot 0          what the function returns
 *   slot 1 + v      value v; constants and addresses stand there from the start
 *   after these     room to move a block's arguments through
 *
 * An edge with arguments that a branch takes is a step of its own at the end.
 */
import type { Place } from "../base/index.ts";
import type {
  BlockId,
  Edge,
  IrFunction,
  IrInstruction,
  Terminator,
  ValueId,
} from "../ir/index.ts";
import type { Code, Executor } from "./code.ts";
import { branchStep, callStep, refuse } from "./control-steps.ts";
import { fault } from "./fault.ts";
import { atomicStep, loadStep, storeStep } from "./memory-steps.ts";
import { packetLoadStep } from "./packet-load.ts";
import {
  binarySteps,
  copyStep,
  returned,
  unarySteps,
  type Step,
} from "./word-steps.ts";

export function compileIr(machine: Executor, fn: IrFunction): Code {
  return new FunctionCompiler(machine, fn).compile();
}

const slotOf = (value: ValueId): number => 1 + value;

const fixedKinds = [
  "const",
  "map",
  "map-value",
  "function",
  "slot",
  "undefined",
] as const;

/** Values that are known before the function runs. */
type Fixed = Extract<IrInstruction, { kind: (typeof fixedKinds)[number] }>;

function isFixed(instruction: IrInstruction): instruction is Fixed {
  return (fixedKinds as readonly string[]).includes(instruction.kind);
}

class FunctionCompiler {
  readonly #machine: Executor;
  readonly #fn: IrFunction;
  readonly #steps: Step[] = [];
  readonly #places: Place[] = [];
  /** First step of each block. */
  readonly #starts: number[] = [];
  /** Edges that still need a step, after all blocks. */
  readonly #edges: { readonly edge: Edge; readonly at: Place }[] = [];
  #edgeBase = 0;

  constructor(machine: Executor, fn: IrFunction) {
    this.#machine = machine;
    this.#fn = fn;
  }

  compile(): Code {
    const { blocks, params, name } = this.#fn;
    let next = 0;
    for (const block of blocks) {
      this.#starts.push(next);
      next += block.instructions.filter((each) => !isFixed(each)).length + 1;
    }
    this.#edgeBase = next;
    for (const block of blocks) {
      for (const instruction of block.instructions)
        if (!isFixed(instruction))
          this.#add(
            this.#instruction(instruction, this.#steps.length + 1),
            instruction.at,
          );
      this.#add(this.#terminator(block.terminator), block.terminator.at);
    }
    for (const { edge, at } of this.#edges) this.#add(this.#follow(edge), at);
    const places = this.#places;
    return {
      name,
      steps: this.#steps,
      params: params.map(slotOf),
      cleared: 0,
      place: (step) => places[step] ?? { function: name, instruction: 0 },
      makeFrame: (top) => this.#makeFrame(top),
      frames: [],
    };
  }

  #add(step: Step, at: Place): void {
    const { instruction: seen } = this.#machine.observer;
    this.#places.push(at);
    if (seen === undefined) this.#steps.push(step);
    else
      this.#steps.push((frame) => {
        seen(at);
        return step(frame);
      });
  }

  #makeFrame(top: number): DataView {
    const { blocks, values } = this.#fn;
    const widest = Math.max(0, ...blocks.map((block) => block.params.length));
    const frame = new DataView(
      new ArrayBuffer(8 * (1 + values.length + widest)),
    );
    for (const block of blocks)
      for (const instruction of block.instructions)
        if (isFixed(instruction))
          frame.setBigUint64(
            8 * slotOf(instruction.result),
            BigInt.asUintN(64, this.#fixed(instruction, top)),
            true,
          );
    return frame;
  }

  #fixed(instruction: Fixed, top: number): bigint {
    const machine = this.#machine;
    switch (instruction.kind) {
      case "const":
        return instruction.value;
      case "map":
        return BigInt(machine.state.handleOf(instruction.map));
      case "map-value":
        return BigInt(
          machine.valueAddress(instruction.map, instruction.offset),
        );
      case "function":
        return BigInt(machine.functionAddress(instruction.name));
      case "slot": {
        const slot = this.#fn.slots[instruction.slot];
        return BigInt(top + (slot?.offset ?? 0) + instruction.offset);
      }
      case "undefined":
        return 0n;
    }
  }

  #instruction(instruction: Exclude<IrInstruction, Fixed>, next: number): Step {
    const machine = this.#machine;
    const { at } = instruction;
    const step = next - 1;
    const place = (): Place => at;
    const mark = (): void => machine.mark({ place }, step);
    switch (instruction.kind) {
      case "binary": {
        const { op, width, result, left, right } = instruction;
        return binarySteps[op][width]({
          d: slotOf(result),
          l: slotOf(left),
          r: slotOf(right),
          next,
        });
      }
      case "unary":
        return unarySteps[instruction.op]({
          d: slotOf(instruction.result),
          s: slotOf(instruction.value),
          next,
        });
      case "extract":
        return bytesStep(slotOf(instruction.result), [instruction], next);
      case "concat":
        return bytesStep(
          slotOf(instruction.result),
          instruction.parts.map((part) => ({ ...part, start: 0 })),
          next,
        );
      case "load": {
        const { address, offset, size, signed, result } = instruction;
        const access = { base: slotOf(address), offset, size, next, mark };
        return loadStep(machine, access, slotOf(result), signed);
      }
      case "store": {
        const { address, offset, size, value } = instruction;
        const access = { base: slotOf(address), offset, size, next, mark };
        return storeStep(machine, access, slotOf(value));
      }
      case "atomic": {
        const { address, offset, size, op, value, expected } = instruction;
        return atomicStep(
          machine,
          { base: slotOf(address), offset, size, next, mark },
          {
            op,
            value: slotOf(value),
            result: slotOf(instruction.result),
            ...(expected === undefined ? {} : { expected: slotOf(expected) }),
          },
        );
      }
      case "call":
        return callStep(machine, {
          callee: instruction.callee,
          args: instruction.args.map(slotOf),
          result: slotOf(instruction.result),
          next,
          mark,
          at: place,
        });
      case "load-packet": {
        const { size, imm, index, result } = instruction;
        return packetLoadStep(
          machine,
          {
            size,
            imm,
            ...(index === undefined ? {} : { index: slotOf(index) }),
          },
          { result: slotOf(result), next },
        );
      }
      case "kernel-symbol":
        return () => refuse(`kernel symbol ${instruction.name}`, at);
      case "address-cast":
        return () => refuse("arena address cast", at);
    }
  }

  #terminator(terminator: Terminator): Step {
    switch (terminator.kind) {
      case "jump":
        return this.#follow(terminator.to);
      case "branch": {
        const { op, width, left, right, at } = terminator;
        const slots = {
          op,
          width,
          l: slotOf(left),
          r: slotOf(right),
          taken: this.#enter(terminator.then, at),
          next: this.#enter(terminator.otherwise, at),
        };
        return branchStep(this.#machine, slots, () => at);
      }
      case "may-goto":
        return this.#follow(terminator.otherwise);
      case "return":
        return copyStep({ d: 0, s: slotOf(terminator.value), next: returned });
      case "trap":
        return () => fault(terminator.reason);
    }
  }

  /** Step that starts the edge. */
  #enter(edge: Edge, at: Place): number {
    if (edge.args.length === 0) return this.#start(edge.block);
    this.#edges.push({ edge, at });
    return this.#edgeBase + this.#edges.length - 1;
  }

  #start(block: BlockId): number {
    return this.#starts[block] ?? -1;
  }

  /** Moves the arguments, all at once, and goes to the block. */
  #follow(edge: Edge): Step {
    const params = this.#fn.blocks[edge.block]?.params ?? [];
    const start = this.#start(edge.block);
    const moves = edge.args
      .map((arg, index) => ({
        from: slotOf(arg),
        to: 1 + (params[index] ?? 0),
      }))
      .filter(({ from, to }) => from !== to);
    const written = new Set<number>();
    let overlaps = false;
    for (const { from, to } of moves) {
      overlaps ||= written.has(from);
      written.add(to);
    }
    if (!overlaps) return sequence(moves, start);
    const room = 1 + this.#fn.values.length;
    return sequence(
      [
        ...moves.map(({ from }, index) => ({ from, to: room + index })),
        ...moves.map(({ to }, index) => ({ from: room + index, to })),
      ],
      start,
    );
  }
}

function sequence(
  moves: readonly { readonly from: number; readonly to: number }[],
  next: number,
): Step {
  const copies = moves.map(({ from, to }) =>
    copyStep({ d: to, s: from, next }),
  );
  return (frame) => {
    for (const copy of copies) copy(frame);
    return next;
  };
}

/** Assembles a word from bytes of others, lowest first; the rest is zero. */
function bytesStep(
  d: number,
  parts: readonly {
    readonly value: ValueId;
    readonly start: number;
    readonly size: number;
  }[],
  next: number,
): Step {
  const moves = parts.flatMap(({ value, start, size }) =>
    Array.from(
      { length: size },
      (_, index) => 8 * slotOf(value) + start + index,
    ),
  );
  const at = 8 * d;
  return (frame) => {
    frame.setUint32(at, 0, true);
    frame.setUint32(at + 4, 0, true);
    for (let index = 0; index < moves.length; index++)
      frame.setUint8(at + index, frame.getUint8(moves[index] ?? 0));
    return next;
  };
}
