/**
 * A function under construction: values get numbers as they are made, blocks
 * fill up, constants and slot addresses are made once a block or function.
 */
import { Bug, id, type Place } from "../base/index.ts";
import type {
  Block,
  BlockId,
  IrFunction,
  IrInstruction,
  Slot,
  SlotId,
  Terminator,
  ValueId,
} from "./program.ts";
import { scalar } from "./value-type.ts";

/** An instruction before it has a result. */
export type Draft<I = IrInstruction> = I extends { readonly result: ValueId }
  ? Omit<I, "result" | "at">
  : never;

interface OpenBlock {
  readonly params: ValueId[];
  readonly instructions: IrInstruction[];
  readonly constants: Map<bigint, ValueId>;
  terminator: Terminator | undefined;
}

export class FunctionBuilder {
  readonly #name: string;
  readonly #blocks: OpenBlock[];
  readonly #slots: Slot[];
  /** Addresses of slots, in front of the entry block. */
  readonly #head: IrInstruction[] = [];
  readonly #slotValues = new Map<SlotId, ValueId>();
  #values = 0;
  /** Place of what is emitted next. */
  at: Place;

  constructor(name: string, blocks: number, slots: readonly Slot[]) {
    this.#name = name;
    this.#slots = [...slots];
    this.#blocks = Array.from({ length: blocks }, () => ({
      params: [],
      instructions: [],
      constants: new Map(),
      terminator: undefined,
    }));
    this.at = { function: name, instruction: 0 };
  }

  newValue(): ValueId {
    return id<"v">(this.#values++);
  }

  parameter(block: number): ValueId {
    const value = this.newValue();
    this.#open(block).params.push(value);
    return value;
  }

  emit(block: number, draft: Draft): ValueId {
    const result = this.newValue();
    this.#open(block).instructions.push({
      ...draft,
      result,
      at: this.at,
    });
    return result;
  }

  /** For instructions without result. */
  effect(
    block: number,
    instruction: Omit<IrInstruction & { readonly kind: "store" }, "at">,
  ): void {
    this.#open(block).instructions.push({ ...instruction, at: this.at });
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

  /** Address of the slot's first byte; defined at the entry. */
  slotAddress(slot: SlotId): ValueId {
    const known = this.#slotValues.get(slot);
    if (known !== undefined) return known;
    const result = this.newValue();
    this.#head.push({ kind: "slot", slot, offset: 0, result, at: this.at });
    this.#slotValues.set(slot, result);
    return result;
  }

  /** The slot that holds an offset from r10, or ends there; a new empty one if none does. */
  slotFor(offset: number): Slot {
    const found =
      this.#slots.find(
        (slot) => slot.offset <= offset && offset < slot.offset + slot.size,
      ) ?? this.#slots.find((slot) => offset === slot.offset + slot.size);
    if (found !== undefined) return found;
    const made = { id: id<"s">(this.#slots.length), offset, size: 0 };
    this.#slots.push(made);
    return made;
  }

  end(block: number, terminator: Terminator): void {
    this.#open(block).terminator = terminator;
  }

  finish(params: readonly ValueId[]): IrFunction {
    return {
      name: this.#name,
      params,
      blocks: this.#blocks.map((block, at) => this.#close(block, id(at))),
      values: Array.from({ length: this.#values }, () => scalar),
      slots: this.#slots,
    };
  }

  #close(block: OpenBlock, at: BlockId): Block {
    if (block.terminator === undefined)
      throw new Bug(`${this.#name}: block b${at} has no end`);
    return {
      id: at,
      params: block.params,
      instructions:
        at === 0 ? [...this.#head, ...block.instructions] : block.instructions,
      terminator: block.terminator,
    };
  }

  #open(block: number): OpenBlock {
    const found = this.#blocks[block];
    if (found === undefined) throw new Bug(`${this.#name}: no block b${block}`);
    return found;
  }
}
