/**
 * Slots to values: bytes of a slot whose address does not escape and that are
 * accessed at constant offsets only become variables, and these become values.
 * After inlining, this is where a caller's buffers cease to be memory.
 *
 * Rounds: an address stored somewhere counts as escaped, even if the place is
 * another slot; once that is promoted, the next round sees where the address
 * goes. Not promised: a slot that holds an address of itself stays memory.
 *
 * What remains of a slot is cut into new slots by the runs that still escape.
 */
import type { IrFunction, IrProgram } from "./program.ts";
import { removeDeadCode } from "./dead-code.ts";
import { inferTypes } from "./infer.ts";
import { rewriteSlots } from "./promote-rewrite.ts";
import { slotUses } from "./slot-uses.ts";

/** Types of `program` must be inferred; those of the result are. */
export function promoteSlots(program: IrProgram): IrProgram {
  let now = program;
  for (let round = 0; round < 8; round++) {
    let changed = false;
    const functions = now.functions.map((fn): IrFunction => {
      const uses = slotUses(fn, now);
      if (!uses.promotes) return fn;
      changed = true;
      return removeDeadCode(rewriteSlots(fn, uses));
    });
    if (!changed) break;
    now = inferTypes({ ...now, functions });
  }
  return now;
}
