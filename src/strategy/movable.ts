/**
 * Whether entries of a software dispatcher's table may move at run time: what they mean
 * must be the same on every CPU. A map that all share is; what a core has of its own does not
 * follow an entry in the kernel (docs/decisions/0016-tickets-behind-a-cpumap.md).
 */
import { UnsupportedError, printable } from "../base/index.ts";
import type { Plan } from "./plan.ts";

/** Throws an UnsupportedError that names the object. */
export function refuseImmovable({
  objects,
  cores,
}: Pick<Plan, "objects" | "cores">): void {
  const own = objects.find(
    ({ layout }) =>
      layout === "table" ||
      (cores > 1 && (layout === "allocator" || layout === "sliced")),
  );
  if (own === undefined) return;
  const name = printable(own.object);
  throw new UnsupportedError(
    `${name} cannot be rebalanced at run time: each core has a part of its own (${own.layout})`,
    {
      feature: `moving the records of ${name} in the kernel`,
      fix:
        own.layout === "table"
          ? "--layout shared"
          : "balance at the start only: --trace TRACE, without --rebalance",
    },
  );
}
