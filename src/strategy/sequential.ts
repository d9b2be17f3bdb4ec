/** Sequential: one core does it all, as the program was written. Always fits. */
import type { StateObject } from "../analysis/index.ts";
import type { ObjectPart } from "./plan.ts";

export function sequential(object: StateObject): ObjectPart {
  return {
    kind: "part",
    object: object.name,
    strategy: "sequential",
    grade: "exact",
    reason: "one core",
    layout: "as-is",
    layoutChanged: false,
    deviations: [],
  };
}
