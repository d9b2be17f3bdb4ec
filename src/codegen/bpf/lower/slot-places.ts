/**
 * Where the slots of a function lie in its frame: at their own offsets, so that
 * distances between them are what they were. Slots below −512 come from inlined
 * functions; then all are packed, each at the same place within 8 bytes.
 *
 * A frame whose addresses the lift lost sight of is one slot of all 512 bytes. If
 * all arithmetic on its addresses goes upward, what lies below the lowest address
 * that the function makes is free nevertheless.
 */
import { UnsupportedError } from "../../../base/index.ts";
import type { IrFunction, SlotId, ValueId } from "../../../ir/index.ts";
import type { ValueFacts } from "./value-facts.ts";

export const frameSize = 512;

export interface SlotPlaces {
  /** From r10. */
  readonly offsetOf: (slot: SlotId) => number;
  readonly taken: readonly { readonly low: number; readonly high: number }[];
}

export function placeSlots(fn: IrFunction, facts: ValueFacts): SlotPlaces {
  const isDeep = fn.slots.some((slot) => slot.offset < -frameSize);
  const offsets = isDeep ? packed(fn) : fn.slots.map((slot) => slot.offset);
  const isWhole = fn.slots.some((slot) => slot.size === frameSize);
  const lowest = isWhole ? lowestAddress(fn, facts) : -frameSize;
  return {
    offsetOf: (slot) => offsets[slot] ?? 0,
    taken: fn.slots.flatMap(({ size }, index) => {
      const low = offsets[index] ?? 0;
      const from = isWhole ? Math.max(low, lowest) : low;
      return size === 0 ? [] : [{ low: from, high: low + size }];
    }),
  };
}

/** Lowest offset from r10 that an instruction names; −512 if one may go lower. */
function lowestAddress(fn: IrFunction, facts: ValueFacts): number {
  const isFrame = (value: ValueId): boolean => {
    const type = fn.values[value];
    return type?.kind === "pointer" && type.region.kind === "slot";
  };
  let lowest = 0;
  const bases = new Map<ValueId, number>();
  for (const block of fn.blocks)
    for (const instruction of block.instructions) {
      if (instruction.kind === "slot") {
        const slot = fn.slots[instruction.slot];
        const at = (slot?.offset ?? 0) + instruction.offset;
        bases.set(instruction.result, at);
        // The base of accesses is named by them.
        if (!facts.isAddressOnly(instruction.result))
          lowest = Math.min(lowest, at);
      }
      if ("address" in instruction && isFrame(instruction.address)) {
        const base = bases.get(instruction.address);
        if (base === undefined && instruction.offset < 0) return -frameSize;
        lowest = Math.min(lowest, (base ?? 0) + instruction.offset);
      }
      if (instruction.kind !== "binary") continue;
      const { op, left, right } = instruction;
      const others = [left, right].filter((value) => !isFrame(value));
      if (others.length === 2) continue;
      const isUpward =
        op === "add" && others.every((value) => facts.bits(value) < 32);
      if (!isUpward) return -frameSize;
    }
  return lowest;
}

function packed(fn: IrFunction): number[] {
  const offsets = fn.slots.map(() => -8);
  let low = 0;
  const byOffset = [...fn.slots].sort((a, b) => b.offset - a.offset);
  for (const { id, offset, size } of byOffset) {
    if (size === 0) continue;
    const phase = ((offset % 8) + 8) % 8;
    let at = low - size;
    while (((at % 8) + 8) % 8 !== phase) at--;
    offsets[id] = at;
    low = at;
  }
  if (low < -frameSize)
    throw new UnsupportedError(
      `${fn.name} needs ${-low} bytes of stack, and a frame has ${frameSize}`,
      { feature: `stack frames of more than ${frameSize} bytes` },
    );
  return offsets;
}
