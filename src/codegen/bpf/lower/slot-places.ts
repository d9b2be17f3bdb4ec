/**
 * Where the slots of a function lie in its frame: at their own offsets, so that
 * distances between them are what they were. Slots below −512 come from inlined
 * functions; then all are packed, each at the same place within 8 bytes.
 */
import { UnsupportedError } from "../../../base/index.ts";
import type { IrFunction, SlotId } from "../../../ir/index.ts";

export const frameSize = 512;

export interface SlotPlaces {
  /** From r10. */
  readonly offsetOf: (slot: SlotId) => number;
  readonly taken: readonly { readonly low: number; readonly high: number }[];
}

export function placeSlots(fn: IrFunction): SlotPlaces {
  const isDeep = fn.slots.some((slot) => slot.offset < -frameSize);
  const offsets = isDeep ? packed(fn) : fn.slots.map((slot) => slot.offset);
  return {
    offsetOf: (slot) => offsets[slot] ?? 0,
    taken: fn.slots.flatMap(({ size }, index) => {
      const low = offsets[index] ?? 0;
      return size === 0 ? [] : [{ low, high: low + size }];
    }),
  };
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
