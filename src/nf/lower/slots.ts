/**
 * Buffers on the stack for the keys and values that helpers are given.
 *
 * A buffer belongs to a purpose (keys of 16 bytes, values of 8), not to a place in
 * the program: what it still holds from the last use is not stored again. Helpers
 * read all of a key, so padding is written too, as zeros.
 */
import type { ValueId } from "../../ir/index.ts";
import type { StoredPart } from "./environment.ts";
import type { Lowering } from "./lowering.ts";
import { type Part, merged, wordOf } from "./memory.ts";

/** The address of a buffer that holds the parts. */
export function buffer(
  lowering: Lowering,
  purpose: "key" | "value",
  size: number,
  parts: readonly Part[],
): ValueId {
  const { cursor, writer, slots } = lowering;
  const name = `${purpose}:${size}`;
  let slot = slots.get(name);
  if (slot === undefined) {
    slot = writer.newSlot(size);
    slots.set(name, slot);
  }
  const address = writer.slotAddress(cursor.block, slot);
  const held = new Map(cursor.env.slots.get(slot));
  for (const part of merged(cursor, parts)) {
    const before = held.get(part.offset);
    if (before?.size === part.size && before.word === part.word) continue;
    writer.store(
      cursor.block,
      address,
      part.offset,
      part.size,
      wordOf(cursor, part),
    );
    remember(held, part);
  }
  cursor.env.slots.set(slot, held);
  return address;
}

function remember(held: Map<number, StoredPart>, part: Part): void {
  for (const [offset, { size }] of held)
    if (offset < part.offset + part.size && part.offset < offset + size)
      held.delete(offset);
  held.set(part.offset, { size: part.size, word: part.word });
}
