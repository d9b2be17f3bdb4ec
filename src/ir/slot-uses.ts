/**
 * What the instructions of a function do with its slots, by the inferred types:
 * accesses at constant offsets, ranges that others may reach, or all of it.
 *
 * A slot that an address of unknown offset goes into, or whose address is
 * stored, returned, merged with other addresses or computed with, stays whole.
 */

import {
  frameSize,
  escapedBytes,
  layoutFrame,
  type FrameLayout,
  type FrameRange,
} from "./frame-layout.ts";
import { findMap, signatureOf } from "./callee.ts";
import { edgesOf } from "./graph.ts";
import { operandsOf, terminatorOperands } from "./operands.ts";
import type {
  IrFunction,
  IrInstruction,
  IrProgram,
  Slot,
  SlotId,
  ValueId,
} from "./program.ts";

/** A constant address in a slot. */
export interface SlotAddress {
  readonly slot: Slot;
  /** From the slot's start. */
  readonly offset: number;
}

export interface SlotUses {
  /** Does anything become a value? */
  readonly promotes: boolean;
  /** Of slots that are not left alone. Offsets count from the slot's end, as in a frame. */
  readonly layouts: ReadonlyMap<SlotId, FrameLayout>;
  /** The one address in a slot that a value is. */
  readonly addressOf: (value: ValueId) => SlotAddress | undefined;
}

interface Tally {
  readonly slot: Slot;
  readonly accesses: FrameRange[];
  readonly ranges: FrameRange[];
  whole: boolean;
}

export function slotUses(fn: IrFunction, program: IrProgram): SlotUses {
  const tallies = new Map<SlotId, Tally>(
    fn.slots.map((slot) => [
      slot.id,
      {
        slot,
        accesses: [],
        ranges: [],
        whole: slot.size > frameSize || slot.size === 0,
      },
    ]),
  );
  const collector = new Collector(fn, program, tallies);
  collector.collect();
  const layouts = new Map<SlotId, FrameLayout>();
  let promotes = false;
  for (const { slot, accesses, ranges, whole } of tallies.values()) {
    if (whole) continue;
    const layout = layoutFrame(accesses, escapedBytes(accesses, ranges), false);
    if (layout.pieces.length === 0) continue;
    promotes = true;
    layouts.set(slot.id, layout);
  }
  return {
    promotes,
    layouts,
    addressOf: (value) => collector.addressOf(value),
  };
}

class Collector {
  readonly #fn: IrFunction;
  readonly #program: IrProgram;
  readonly #tallies: ReadonlyMap<SlotId, Tally>;
  readonly #constants = new Map<ValueId, bigint>();

  constructor(
    fn: IrFunction,
    program: IrProgram,
    tallies: ReadonlyMap<SlotId, Tally>,
  ) {
    this.#fn = fn;
    this.#program = program;
    this.#tallies = tallies;
  }

  addressOf(value: ValueId): SlotAddress | undefined {
    const type = this.#fn.values[value];
    if (type?.kind !== "pointer" || type.region.kind !== "slot")
      return undefined;
    const slot = this.#fn.slots[type.region.slot];
    if (
      slot === undefined ||
      type.offset === undefined ||
      type.nullable === true
    )
      return undefined;
    return { slot, offset: type.offset };
  }

  #slotOf(value: ValueId): Tally | undefined {
    const type = this.#fn.values[value];
    return type?.kind === "pointer" && type.region.kind === "slot"
      ? this.#tallies.get(type.region.slot)
      : undefined;
  }

  #escape(value: ValueId): void {
    const tally = this.#slotOf(value);
    if (tally !== undefined) tally.whole = true;
  }

  collect(): void {
    for (const block of this.#fn.blocks)
      for (const instruction of block.instructions)
        if (instruction.kind === "const")
          this.#constants.set(instruction.result, instruction.value);
    for (const block of this.#fn.blocks) {
      for (const instruction of block.instructions) this.#look(instruction);
      for (const edge of edgesOf(block.terminator))
        for (const [index, value] of edge.args.entries())
          this.#flow(value, this.#fn.blocks[edge.block]?.params[index]);
      if (block.terminator.kind === "return")
        terminatorOperands(block.terminator).forEach((v) => this.#escape(v));
    }
  }

  /** Into a value that must be seen to be an address of the same slot. */
  #flow(value: ValueId, target: ValueId | undefined): void {
    const tally = this.#slotOf(value);
    if (tally === undefined) return;
    const other = target === undefined ? undefined : this.#slotOf(target);
    if (other !== tally) tally.whole = true;
  }

  #look(instruction: IrInstruction): void {
    switch (instruction.kind) {
      case "load":
        this.#access(instruction.address, instruction);
        return;
      case "store":
        this.#access(instruction.address, instruction);
        this.#escape(instruction.value);
        return;
      case "binary": {
        const { op, width, left, right, result } = instruction;
        if (width === 64 && (op === "add" || op === "sub")) {
          const distance =
            op === "sub" &&
            this.#slotOf(left) !== undefined &&
            this.#slotOf(right) !== undefined;
          if (distance) return;
          this.#flow(left, result);
          this.#flow(right, result);
        } else operandsOf(instruction).forEach((v) => this.#escape(v));
        return;
      }
      case "call":
        this.#call(instruction);
        return;
      case "atomic": {
        const at = this.addressOf(instruction.address);
        if (at === undefined) this.#escape(instruction.address);
        else
          this.#reach(
            instruction.address,
            instruction.offset,
            instruction.offset + instruction.size,
          );
        this.#escape(instruction.value);
        if (instruction.expected !== undefined)
          this.#escape(instruction.expected);
        return;
      }
      case "unary":
      case "extract":
      case "concat":
      case "address-cast":
      case "load-packet":
        operandsOf(instruction).forEach((v) => this.#escape(v));
        return;
      case "const":
      case "map":
      case "map-value":
      case "function":
      case "kernel-symbol":
      case "slot":
      case "undefined":
        return;
    }
  }

  #access(
    address: ValueId,
    access: { readonly offset: number; readonly size: number },
  ): void {
    const tally = this.#slotOf(address);
    if (tally === undefined) return;
    const at = this.addressOf(address);
    const low = at === undefined ? undefined : at.offset + access.offset;
    if (low === undefined || low < 0 || low + access.size > tally.slot.size) {
      tally.whole = true;
      return;
    }
    tally.accesses.push(fromEnd(tally.slot, low, low + access.size));
  }

  /** Bytes low … high − 1 around the address become memory. */
  #reach(address: ValueId, low: number, high: number): void {
    const tally = this.#slotOf(address);
    if (tally === undefined) return;
    const at = this.addressOf(address);
    if (at === undefined || at.offset < 0 || at.offset + low < 0) {
      tally.whole = true;
      return;
    }
    const from = Math.min(at.offset, at.offset + low);
    const to = Math.min(
      tally.slot.size,
      Math.max(at.offset + 1, at.offset + high),
    );
    if (at.offset + high > tally.slot.size && high !== Infinity)
      tally.whole = true;
    else if (from < to) tally.ranges.push(fromEnd(tally.slot, from, to));
  }

  #call({ callee, args }: IrInstruction & { readonly kind: "call" }): void {
    const signature = signatureOf(callee)?.args;
    const mapType = args
      .map((arg) => this.#fn.values[arg])
      .find((type) => type?.kind === "pointer" && type.region.kind === "map");
    const map =
      mapType?.kind === "pointer" && mapType.region.kind === "map"
        ? findMap(this.#program.maps, mapType.region.map)
        : undefined;
    for (const [index, value] of args.entries()) {
      if (this.#slotOf(value) === undefined) continue;
      const argument = signature?.[index];
      if (argument?.kind === "map-key")
        this.#reach(value, 0, map?.keySize ?? Infinity);
      else if (argument?.kind === "map-value")
        this.#reach(value, 0, map?.valueSize ?? Infinity);
      else if (argument?.kind !== "memory") this.#escape(value);
      else if (argument.size.kind === "fixed")
        this.#reach(value, 0, argument.size.bytes);
      else this.#reach(value, 0, this.#bytes(args[argument.size.argument]));
    }
  }

  /** A constant number of bytes, or all. */
  #bytes(value: ValueId | undefined): number {
    const word = value === undefined ? undefined : this.#constants.get(value);
    return word === undefined || word > BigInt(frameSize)
      ? Infinity
      : Number(word);
  }
}

/** A range of a slot as if the slot were a frame that ends at its end. */
function fromEnd(slot: Slot, low: number, high: number): FrameRange {
  return { low: low - slot.size, high: high - slot.size };
}
