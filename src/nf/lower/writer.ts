/**
 * Writes one IR function block by block. Edges stay open to new arguments until
 * the function is finished, so that a join may get a parameter late.
 *
 * Emission folds what the lowering's own idioms produce:
 *
 *   swapN(swapN(x)), x below 2^N   → x
 *   zextN(sextM(x)), N ≤ M         → zextN(x)
 *   zext32(a op64 b)               → a op32 b   (add sub mul and or xor)
 *   zextN(x), sextN(x) of what already is that → x
 *
 * The rest (constants, common subexpressions, dead code) is `simplify`'s.
 */
import { Bug, type Place, id } from "../../base/index.ts";
import type {
  BinaryOp,
  Edge,
  IrFunction,
  IrInstruction,
  Slot,
  SlotId,
  Terminator,
  UnaryOp,
  ValueId,
} from "../../ir/index.ts";
import { operandsOf } from "../../ir/index.ts";
import type { BranchOp, Callee, Size, Width } from "../../isa/index.ts";
import { bitsOf, signedBitsOf } from "./word-bits.ts";

/** An instruction before it has result and place. */
type Draft<I = IrInstruction> = I extends { readonly result: ValueId }
  ? Omit<I, "result" | "at">
  : never;

interface OpenEdge {
  block: number;
  readonly args: ValueId[];
}

type OpenTerminator =
  | { readonly kind: "jump"; readonly to: OpenEdge; readonly at: Place }
  | {
      readonly kind: "branch";
      readonly op: BranchOp;
      readonly width: Width;
      readonly left: ValueId;
      readonly right: ValueId;
      readonly then: OpenEdge;
      readonly otherwise: OpenEdge;
      readonly at: Place;
    }
  | {
      readonly kind: "may-goto";
      readonly then: OpenEdge;
      readonly otherwise: OpenEdge;
      readonly at: Place;
    }
  | { readonly kind: "return"; readonly value: ValueId; readonly at: Place };

interface OpenBlock {
  readonly params: ValueId[];
  readonly instructions: IrInstruction[];
  readonly constants: Map<bigint, ValueId>;
  terminator: OpenTerminator | undefined;
}

/** A state of the function to which it can be taken back. */
export interface Mark {
  readonly blocks: number;
  readonly values: number;
  readonly slots: number;
  readonly open: readonly { block: number; instructions: number }[];
}

export class Writer {
  readonly name: string;
  readonly #blocks: OpenBlock[] = [];
  readonly #definitions: (IrInstruction | undefined)[] = [];
  /** The block of each value. */
  readonly #homes: number[] = [];
  readonly #slots: Slot[] = [];
  #below = 0;
  /** Place of what is emitted next. */
  at: Place;

  constructor(name: string, at: Place) {
    this.name = name;
    this.at = at;
  }

  newBlock(): number {
    this.#blocks.push({
      params: [],
      instructions: [],
      constants: new Map(),
      terminator: undefined,
    });
    return this.#blocks.length - 1;
  }

  /** A new parameter of a block; every edge to it must be given its argument. */
  parameter(block: number): ValueId {
    const value = this.#newValue(block);
    this.#open(block).params.push(value);
    return value;
  }

  /** A value of the function's own parameters. */
  argument(): ValueId {
    return this.#newValue(0);
  }

  definition(value: ValueId): IrInstruction | undefined {
    return this.#definitions[value];
  }

  constantOf(value: ValueId): bigint | undefined {
    const definition = this.#definitions[value];
    return definition?.kind === "const" ? definition.value : undefined;
  }

  /** Is it made in the entry block, before anything branches? */
  isEntryValue(value: ValueId): boolean {
    return this.#homes[value] === 0;
  }

  emit(block: number, draft: Draft): ValueId {
    const result = id<"v">(this.#definitions.length);
    const instruction: IrInstruction = { ...draft, result, at: this.at };
    this.#definitions.push(instruction);
    this.#homes.push(block);
    this.#open(block).instructions.push(instruction);
    return result;
  }

  /** A 64-bit constant; negative numbers wrap. */
  constant(block: number, value: bigint | number): ValueId {
    const word = BigInt.asUintN(64, BigInt(value));
    const { constants } = this.#open(block);
    const known = constants.get(word);
    if (known !== undefined) return known;
    const made = this.emit(block, { kind: "const", value: word });
    constants.set(word, made);
    return made;
  }

  binary(
    block: number,
    op: BinaryOp,
    left: ValueId,
    right: ValueId,
    width: Width = 64,
  ): ValueId {
    return this.emit(block, { kind: "binary", op, width, left, right });
  }

  unary(block: number, op: UnaryOp, value: ValueId): ValueId {
    const bits = Number(op.replace(/^\D+/, ""));
    const of = (at: ValueId): IrInstruction | undefined =>
      this.#definitions[at];
    const definition = this.#definitions[value];
    if (op.startsWith("swap")) {
      if (
        definition?.kind === "unary" &&
        definition.op === op &&
        bitsOf(definition.value, of) <= bits
      )
        return definition.value;
      return this.emit(block, { kind: "unary", op, value });
    }
    if (op.startsWith("zext")) {
      if (bitsOf(value, of) <= bits) return value;
      if (definition?.kind === "unary") {
        const inner = /^(?:sext|zext)(\d+)$/.exec(definition.op);
        if (inner !== null && bits <= Number(inner[1]))
          return this.unary(block, op, definition.value);
      }
      if (bits === 32 && definition?.kind === "binary" && narrows(definition))
        return this.emit(block, {
          kind: "binary",
          op: definition.op,
          width: 32,
          left: definition.left,
          right: definition.right,
        });
    }
    if (op.startsWith("sext") && signedBitsOf(value, of) <= bits) return value;
    return this.emit(block, { kind: "unary", op, value });
  }

  load(
    block: number,
    address: ValueId,
    offset: number,
    size: Size,
    signed = false,
  ): ValueId {
    return this.emit(block, { kind: "load", address, offset, size, signed });
  }

  store(
    block: number,
    address: ValueId,
    offset: number,
    size: Size,
    value: ValueId,
  ): void {
    this.#open(block).instructions.push({
      kind: "store",
      address,
      offset,
      size,
      value,
      at: this.at,
    });
  }

  call(block: number, callee: Callee, args: readonly ValueId[]): ValueId {
    return this.emit(block, { kind: "call", callee, args });
  }

  helper(block: number, helper: number, args: readonly ValueId[]): ValueId {
    return this.call(block, { kind: "helper", helper }, args);
  }

  /** New bytes of the frame, aligned to 8. */
  newSlot(size: number): SlotId {
    const slot = id<"s">(this.#slots.length);
    this.#below -= Math.ceil(size / 8) * 8;
    this.#slots.push({ id: slot, offset: this.#below, size });
    return slot;
  }

  slotAddress(block: number, slot: SlotId): ValueId {
    return this.emit(block, { kind: "slot", slot, offset: 0 });
  }

  get frameSize(): number {
    return -this.#below;
  }

  jump(from: number, to: number, args: readonly ValueId[] = []): void {
    this.#end(from, {
      kind: "jump",
      to: { block: to, args: [...args] },
      at: this.at,
    });
  }

  branch(
    from: number,
    test: { op: BranchOp; left: ValueId; right: ValueId; width?: Width },
    then: number,
    otherwise: number,
  ): void {
    this.#end(from, {
      kind: "branch",
      op: test.op,
      width: test.width ?? 64,
      left: test.left,
      right: test.right,
      then: { block: then, args: [] },
      otherwise: { block: otherwise, args: [] },
      at: this.at,
    });
  }

  /** Leaves for `late` once the program has used up its time. */
  mayGoto(from: number, late: number, otherwise: number): void {
    this.#end(from, {
      kind: "may-goto",
      then: { block: late, args: [] },
      otherwise: { block: otherwise, args: [] },
      at: this.at,
    });
  }

  return(from: number, value: ValueId): void {
    this.#end(from, { kind: "return", value, at: this.at });
  }

  /** Gives the jump that ends `from` one more argument. */
  addArgument(from: number, value: ValueId): void {
    const { terminator } = this.#open(from);
    if (terminator?.kind !== "jump")
      throw new Bug(`${this.name}: b${from} does not end with a jump`);
    terminator.to.args.push(value);
  }

  isEnded(block: number): boolean {
    return this.#open(block).terminator !== undefined;
  }

  /** Where the function now is; `open` are the blocks that are still written to. */
  mark(open: readonly number[]): Mark {
    return {
      blocks: this.#blocks.length,
      values: this.#definitions.length,
      slots: this.#slots.length,
      open: open.map((block) => ({
        block,
        instructions: this.#open(block).instructions.length,
      })),
    };
  }

  /** Forgets what was written since; the marked blocks are open again. */
  reset(mark: Mark): void {
    this.#blocks.length = mark.blocks;
    this.#definitions.length = mark.values;
    this.#homes.length = mark.values;
    this.#slots.length = mark.slots;
    this.#below = Math.min(0, ...this.#slots.map((slot) => slot.offset));
    for (const { block, instructions } of mark.open) {
      const open = this.#open(block);
      open.instructions.length = instructions;
      open.terminator = undefined;
      for (const [word, value] of open.constants)
        if (value >= mark.values) open.constants.delete(word);
    }
  }

  /** Drops loads that cannot fault and that nothing uses. */
  dropUnused(loads: readonly ValueId[]): void {
    const used = new Set<ValueId>();
    for (const { instructions } of this.#blocks)
      for (const instruction of instructions)
        for (const value of operandsOf(instruction)) used.add(value);
    for (const { terminator } of this.#blocks) {
      const edges =
        terminator?.kind === "jump"
          ? [terminator.to]
          : terminator?.kind === "return" || terminator === undefined
            ? []
            : [terminator.then, terminator.otherwise];
      for (const { args } of edges) for (const value of args) used.add(value);
      if (terminator?.kind === "branch")
        used.add(terminator.left).add(terminator.right);
      if (terminator?.kind === "return") used.add(terminator.value);
    }
    const dead = new Set(loads.filter((load) => !used.has(load)));
    for (const { instructions } of this.#blocks) {
      const kept = instructions.filter(
        (each) => !("result" in each && dead.has(each.result)),
      );
      instructions.splice(0, instructions.length, ...kept);
    }
  }

  /** The function as it stands; dead and unreachable parts are still in it. */
  finish(params: readonly ValueId[]): IrFunction {
    this.#skipEmptyBlocks();
    return {
      name: this.name,
      params,
      blocks: this.#blocks.map((block, at) => ({
        id: id(at),
        params: block.params,
        instructions: block.instructions,
        terminator: closed(block.terminator, this.at),
      })),
      values: this.#definitions.map(() => ({ kind: "scalar" })),
      slots: this.#slots,
    };
  }

  /** An edge to a block that only jumps on leads where that jump leads. */
  #skipEmptyBlocks(): void {
    const skip = (edge: OpenEdge): void => {
      for (let steps = 0; steps < this.#blocks.length; steps++) {
        const target = this.#open(edge.block);
        if (
          target.terminator?.kind !== "jump" ||
          target.instructions.length > 0 ||
          target.params.length > 0 ||
          target.terminator.to.block === edge.block
        )
          return;
        const { to } = target.terminator;
        edge.block = to.block;
        edge.args.push(...to.args);
      }
    };
    for (const block of this.#blocks) {
      const { terminator } = block;
      if (terminator?.kind === "jump") skip(terminator.to);
      if (terminator?.kind === "may-goto") {
        skip(terminator.then);
        skip(terminator.otherwise);
      }
      if (terminator?.kind !== "branch") continue;
      const { then, otherwise, at } = terminator;
      skip(then);
      skip(otherwise);
      // Both ways lead to the same: nothing was asked.
      const same =
        then.block === otherwise.block &&
        then.args.every((arg, index) => arg === otherwise.args[index]);
      if (same) block.terminator = { kind: "jump", to: then, at };
    }
  }

  #end(block: number, terminator: OpenTerminator): void {
    const open = this.#open(block);
    if (open.terminator !== undefined)
      throw new Bug(`${this.name}: block b${block} ends twice`);
    open.terminator = terminator;
  }

  #newValue(home: number): ValueId {
    this.#definitions.push(undefined);
    this.#homes.push(home);
    return id<"v">(this.#definitions.length - 1);
  }

  #open(block: number): OpenBlock {
    const found = this.#blocks[block];
    if (found === undefined) throw new Bug(`${this.name}: no block b${block}`);
    return found;
  }
}

function closed(open: OpenTerminator | undefined, at: Place): Terminator {
  const edge = ({ block, args }: OpenEdge): Edge => ({
    block: id(block),
    args,
  });
  switch (open?.kind) {
    case undefined:
      return { kind: "trap", reason: "nothing leads here", at };
    case "return":
      return open;
    case "jump":
      return { ...open, to: edge(open.to) };
    case "branch":
    case "may-goto":
      return {
        ...open,
        then: edge(open.then),
        otherwise: edge(open.otherwise),
      };
  }
}

/** Do the low 32 bits of the result depend on the low halves of the operands only? */
function narrows({ op, width }: IrInstruction & { kind: "binary" }): boolean {
  if (width !== 64) return false;
  switch (op) {
    case "add":
    case "sub":
    case "mul":
    case "and":
    case "or":
    case "xor":
      return true;
    // A count of 32 and more is another one at width 32.
    case "lsh":
    case "rsh":
    case "arsh":
    case "div":
    case "sdiv":
    case "mod":
    case "smod":
      return false;
  }
}
