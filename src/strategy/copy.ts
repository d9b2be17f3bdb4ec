/**
 * Copy: cores share, or have copies of, what needs no owner.
 *
 * Fits what the program never writes (exact), what is per CPU already (kept as it
 * is: the program's own choice), and ways out for records (their order across
 * cores is open).
 */
import type { StateObject } from "../analysis/index.ts";
import type { Deviation, Grade, ObjectPart } from "./plan.ts";
import { refuse, type Refusal } from "./refusal.ts";

/** Does `object` need no owner at all? */
export function copy(object: StateObject): ObjectPart | Refusal {
  const part = (
    reason: string,
    grade: Grade,
    deviations: readonly Deviation[] = [],
  ): ObjectPart => ({
    kind: "part",
    object: object.name,
    strategy: "copy",
    grade,
    reason,
    layout: "as-is",
    layoutChanged: false,
    deviations,
  });
  if (object.channel === true)
    return part("a way out for records", "exact", [
      {
        code: "event-order",
        object: object.name,
        text: `records that different cores put into ${object.name} may change places`,
      },
    ]);
  if (object.access === "none") return part("not used", "exact");
  if (object.access === "read-only")
    return part(
      object.userWrites
        ? "read only here; user space writes it, all cores see that"
        : "read only",
      "exact",
    );
  if (object.access === "per-cpu" || object.cpuIndexed)
    return part(
      object.cpuIndexed
        ? "indexed by CPU number: divided by hand already"
        : "per CPU already",
      "merged",
      [
        {
          code: "per-cpu-state",
          object: object.name,
          text: `${object.name} has one value per CPU, as whenever the program runs on several; what one core adds, others do not see`,
        },
      ],
    );
  const writer = object.accesses.find(
    ({ op }) => op !== "lookup" && op !== "read",
  );
  return refuse("R-written", {
    object: object.name,
    strategy: "copy",
    text: `${object.name} is written at run time`,
    ...(writer === undefined ? {} : { at: writer.at }),
    obligation: `${object.name} is never written by the program`,
    slice: writer === undefined ? [] : [writer.at],
    edit: "fill the map from user space",
  });
}
