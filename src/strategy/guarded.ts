/**
 * Lock and transaction: cores share the object as it is, and what runs on them
 * stands under a guard of the engine, so that packets have their effect one after
 * the other, in an order that keeps each flow's.
 *
 * lock         packets run as readers at the same time; the first write leaves the
 *              program, and the packet is run again, alone
 * transaction  packets run at the same time and their writes count only if no other
 *              packet wrote since they began; else they run again
 *
 * Fits any object. Grade: reordered.
 */
import type { StateObject } from "../analysis/index.ts";
import type { ObjectPart } from "./plan.ts";

export const lock = (object: StateObject): ObjectPart =>
  guarded(object, "lock", "one writer at a time, and no reader beside it");

export const transaction = (object: StateObject): ObjectPart =>
  guarded(object, "transaction", "what another packet changed is run again");

function guarded(
  object: StateObject,
  strategy: "lock" | "transaction",
  reason: string,
): ObjectPart {
  return {
    kind: "part",
    object: object.name,
    strategy,
    grade: "reordered",
    reason,
    layout: "as-is",
    layoutChanged: false,
    deviations: [
      {
        code: "serialized",
        text: "packets of different cores may change places; each has the effect of a run of its own",
      },
    ],
  };
}
