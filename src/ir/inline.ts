/**
 * Inlining of the program's own functions into the entry.
 *
 *   call f(a, b)          jump f.b0        f's parameters are a, b
 *   rest            →     …                return v  →  jump rest(v)
 *                         rest(result):
 *
 * The callee's frame is laid below everything that the entry's frame has; then
 * promoteSlots turns what became constant offsets into values. Left as calls:
 * recursive functions, callbacks, what does not fit the budget, what is to be kept,
 * and functions with a tail call or LD_ABS/LD_IND, which would leave the whole program
 * instead of the function. Functions that nothing names any more are dropped.
 */
import { Bug, id } from "../base/index.ts";
import { removeDeadCode } from "./dead-code.ts";
import { inferTypes } from "./infer.ts";
import { mapInstruction, mapTerminator } from "./operands.ts";
import type {
  Block,
  BlockId,
  IrFunction,
  IrInstruction,
  IrProgram,
  Slot,
  ValueId,
} from "./program.ts";
import { promoteSlots } from "./promote.ts";
import { simplify } from "./simplify.ts";
import { scalar } from "./value-type.ts";

export interface InlineOptions {
  /** Instructions that the entry may have in the end. */
  readonly budget: number;
  /** Functions that stay calls. */
  readonly keep?: ReadonlySet<string>;
}

export function inlineCalls(
  program: IrProgram,
  { budget, keep }: InlineOptions,
): IrProgram {
  const [entry, ...others] = program.functions;
  if (entry === undefined) return program;
  const byName = new Map(others.map((fn) => [fn.name, fn]));
  const fixed = new Set(
    others
      .filter((fn) => keep?.has(fn.name) === true || mustStay(fn, byName))
      .map((fn) => fn.name),
  );
  const work = new Inlining(entry, budget, (name) =>
    fixed.has(name) ? undefined : byName.get(name),
  );
  const grown = removeDeadCode(work.run());
  const functions = [grown, ...namedFunctions(grown, byName)];
  return simplify(promoteSlots(inferTypes({ ...program, functions })));
}

type Call = IrInstruction & { readonly kind: "call" };

function size(fn: IrFunction): number {
  return fn.blocks.reduce(
    (sum, block) => sum + block.instructions.length + 1,
    0,
  );
}

/** Leaves the program from inside, or reaches itself. */
function mustStay(
  fn: IrFunction,
  byName: ReadonlyMap<string, IrFunction>,
): boolean {
  const tailCall = 12;
  const leaves = fn.blocks.some((block) =>
    block.instructions.some(
      (instruction) =>
        instruction.kind === "load-packet" ||
        (instruction.kind === "call" &&
          instruction.callee.kind === "helper" &&
          instruction.callee.helper === tailCall),
    ),
  );
  if (leaves) return true;
  const seen = new Set<string>();
  const work = calledBy(fn);
  for (let name = work.pop(); name !== undefined; name = work.pop()) {
    if (name === fn.name) return true;
    const callee = byName.get(name);
    if (callee === undefined || seen.has(name)) continue;
    seen.add(name);
    work.push(...calledBy(callee));
  }
  return false;
}

function calledBy(fn: IrFunction): string[] {
  return fn.blocks.flatMap((block) =>
    block.instructions.flatMap((instruction) => {
      if (instruction.kind === "function") return [instruction.name];
      return instruction.kind === "call" &&
        instruction.callee.kind === "function"
        ? [instruction.callee.name]
        : [];
    }),
  );
}

/** Functions that are still called or handed to a helper, in program order. */
function namedFunctions(
  entry: IrFunction,
  byName: ReadonlyMap<string, IrFunction>,
): IrFunction[] {
  const named = new Set<string>();
  const work = calledBy(entry);
  for (let name = work.pop(); name !== undefined; name = work.pop()) {
    const fn = byName.get(name);
    if (fn === undefined || named.has(name)) continue;
    named.add(name);
    work.push(...calledBy(fn));
  }
  return [...byName.values()].filter((fn) => named.has(fn.name));
}

class Inlining {
  readonly #entry: IrFunction;
  readonly #find: (name: string) => IrFunction | undefined;
  readonly #blocks: Block[];
  readonly #values: IrFunction["values"][number][];
  readonly #slots: Slot[];
  /** Blocks whose instructions were not looked at yet. */
  readonly #work: BlockId[];
  #room: number;

  constructor(
    entry: IrFunction,
    budget: number,
    find: (name: string) => IrFunction | undefined,
  ) {
    this.#entry = entry;
    this.#find = find;
    this.#blocks = [...entry.blocks];
    this.#values = [...entry.values];
    this.#slots = [...entry.slots];
    this.#work = entry.blocks.map((block) => block.id).reverse();
    this.#room = budget - size(entry);
  }

  run(): IrFunction {
    for (let at = this.#work.pop(); at !== undefined; at = this.#work.pop())
      this.#look(at);
    return {
      ...this.#entry,
      blocks: this.#blocks,
      values: this.#values,
      slots: this.#slots,
    };
  }

  #look(at: BlockId): void {
    const block = this.#blocks[at];
    if (block === undefined) throw new Bug(`no block b${at}`);
    for (const [index, instruction] of block.instructions.entries()) {
      if (instruction.kind !== "call" || instruction.callee.kind !== "function")
        continue;
      const callee = this.#find(instruction.callee.name);
      if (callee === undefined || size(callee) > this.#room) continue;
      this.#room -= size(callee);
      this.#inline(block, index, instruction, callee);
      return;
    }
  }

  #inline(block: Block, index: number, call: Call, callee: IrFunction): void {
    const rest = id<"b">(this.#blocks.length);
    this.#blocks.push({
      id: rest,
      params: [call.result],
      instructions: block.instructions.slice(index + 1),
      terminator: block.terminator,
    });
    const first = this.#blocks.length;
    const names = this.#newValues(callee, call.args);
    const slotName = this.#newSlots(callee);
    const value = (name: ValueId): ValueId => names[name] ?? name;
    const target = (name: BlockId): BlockId => id<"b">(first + name);
    for (const from of callee.blocks) {
      const { terminator } = from;
      this.#blocks.push({
        id: target(from.id),
        params: from.params.map(value),
        instructions: from.instructions.map((instruction) =>
          mapInstruction(instruction, {
            value,
            result: value,
            slot: (slot) => id(slotName + slot),
          }),
        ),
        terminator:
          terminator.kind === "return"
            ? {
                kind: "jump",
                to: { block: rest, args: [value(terminator.value)] },
                at: terminator.at,
              }
            : mapTerminator(terminator, value, (edge) => ({
                block: target(edge.block),
                args: edge.args.map(value),
              })),
      });
    }
    this.#blocks[block.id] = {
      ...block,
      instructions: block.instructions.slice(0, index),
      terminator: {
        kind: "jump",
        to: { block: target(id(0)), args: [] },
        at: call.at,
      },
    };
    this.#work.push(
      rest,
      ...callee.blocks.map((from) => target(from.id)).reverse(),
    );
  }

  /** Index = value of the callee. */
  #newValues(callee: IrFunction, args: readonly ValueId[]): ValueId[] {
    const names = callee.values.map((_, at) =>
      id<"v">(this.#values.length + at),
    );
    this.#values.push(...callee.values.map(() => scalar));
    // Parameters are the arguments; their fresh names stay unused.
    for (const [index, param] of callee.params.entries()) {
      const argument = args[index];
      if (argument === undefined)
        throw new Bug(`a call of ${callee.name} lacks arguments`);
      names[param] = argument;
    }
    return names;
  }

  /** The number that the callee's slot 0 gets. */
  #newSlots(callee: IrFunction): number {
    const first = this.#slots.length;
    // The callee's r10: below all slots, aligned as frames are.
    const lowest = Math.min(-512, ...this.#slots.map((slot) => slot.offset));
    const base = Math.floor(lowest / 8) * 8;
    for (const slot of callee.slots)
      this.#slots.push({
        id: id(first + slot.id),
        offset: base + slot.offset,
        size: slot.size,
      });
    return first;
  }
}
