/**
 * Is it in the frame? One comparison with the packet's end answers, and what it
 * answered is remembered, so that no part of the frame is asked for twice.
 *
 * The kernel's verifier learns from exactly these comparisons: `start + n` of the
 * frame, or `p + n` of a pointer whose variable part was added to the start once
 * and is used again by everything behind it.
 */
import type { ValueId } from "../../ir/index.ts";
import { branchOn, decided } from "./compare.ts";
import { type Branches, type Cursor, type PacketWords } from "./lowering.ts";

/** Are `bytes` bytes from `base` on in the frame? */
export function branchInFrame(
  cursor: Cursor,
  packet: PacketWords,
  base: ValueId,
  bytes: number,
): Branches {
  const { env, writer } = cursor;
  const known = base === packet.start ? env.frame : (env.behind.get(base) ?? 0);
  if (bytes <= known) return decided(cursor, true);
  const end = writer.binary(cursor.block, "add", base, cursor.constant(bytes));
  const beyond = branchOn(cursor, "jgt", end, packet.end);
  for (const { env: inside } of beyond.no)
    if (base === packet.start) inside.frame = bytes;
    else inside.behind.set(base, bytes);
  return { yes: beyond.no, no: beyond.yes };
}
