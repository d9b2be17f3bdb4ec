/**
 * Which hash maps of a plan become tables of each core's own (layout table).
 *
 *   auto     where it weakens no promise: on one core; on several, a map whose entries
 *            all have an index of an allocator that is split over the cores, so that the
 *            core's indices are used up before its table is full. Pinned maps stay
 *            shared: who pins a map opens it elsewhere
 *   private  every one that can be
 *   shared   none: a map keeps its whole capacity and looks to user space as it did
 *
 * A map can be where packets of one core alone meet each of its keys (sharded, or one
 * core), the program itself puts entries in, and user space does not write it. Whether
 * the code can be patched is the caller's to know: `obstacle`.
 *
 * Grade: on several cores partitioned, since a core's share may fill up, unless its
 * indices do before; on one core as it was. docs/decisions/0012-private-tables.md has the measurements.
 */
import type { StateReport } from "../analysis/index.ts";
import type { Diagnostic } from "../base/index.ts";
import { capacitySplit } from "./capacity.ts";
import type { Deviation, ObjectPart, Plan } from "./plan.ts";

export const tableLayouts = ["auto", "private", "shared"] as const;
export type TableChoice = (typeof tableLayouts)[number];

export interface TableRequest {
  readonly choice: TableChoice;
  /** Entries of a map. */
  readonly sizeOf: (map: string) => number;
  /** Others may open the map by its path. */
  readonly isPinned: (map: string) => boolean;
  /** Maps with contents from outside. */
  readonly filled: ReadonlySet<string>;
  /** Why the program's calls with this map cannot be changed; undefined: they can. */
  readonly obstacle: (
    map: string,
    capacities: readonly number[],
  ) => string | undefined;
}

export function withPrivateTables(
  plan: Plan,
  report: StateReport,
  request: TableRequest,
): Plan {
  const { choice, sizeOf, obstacle } = request;
  if (choice === "shared") return plan;
  const notes: Diagnostic[] = [];
  const objects = plan.objects.map((part): ObjectPart => {
    if (!isCandidate(part, plan, report, request)) return part;
    const capacities = capacitySplit(sizeOf(part.object), plan.cores);
    const isFree = weakensNothing(part.object, capacities, plan, report);
    if (choice === "auto" && (!isFree || request.isPinned(part.object)))
      return part;
    const reason =
      (capacities.at(-1) ?? 0) < 1
        ? `it has fewer entries than there are cores`
        : obstacle(part.object, capacities);
    if (reason === undefined) return asTable(part, capacities, isFree);
    if (choice === "private")
      notes.push({
        code: "table-refused",
        severity: "note",
        message: `${part.object} stays shared: ${reason}`,
      });
    return part;
  });
  const changed = new Set(
    objects
      .filter(({ layout }) => layout === "table")
      .map(({ object }) => object),
  );
  const shares = objects.flatMap(({ deviations }) =>
    deviations.filter(({ code }) => code === "table-per-core"),
  );
  const isGone = ({ object = "", code }: Deviation): boolean =>
    changed.has(object) && code === "full-table";
  return {
    ...plan,
    objects,
    grade: shares.length === 0 ? plan.grade : "partitioned",
    deviations: [
      ...plan.deviations.filter((deviation) => !isGone(deviation)),
      ...shares,
    ],
    notes: [...plan.notes, ...notes],
  };
}

/** One core, or no table fills up before its core's share of the indices does. */
function weakensNothing(
  map: string,
  capacities: readonly number[],
  plan: Plan,
  { objects }: StateReport,
): boolean {
  if (plan.cores === 1) return true;
  return objects.some(({ name, allocator }) => {
    if (allocator?.entries !== map) return false;
    const shares = capacitySplit(allocator.capacity, plan.cores);
    const isSplit = plan.objects.some(
      ({ object, layout }) => object === name && layout === "allocator",
    );
    return (
      isSplit && shares.every((share, at) => share <= (capacities[at] ?? 0))
    );
  });
}

function isCandidate(
  { object, strategy, layout }: ObjectPart,
  { cores, runtime }: Plan,
  { objects }: StateReport,
  { filled }: TableRequest,
): boolean {
  const found = objects.find(({ name }) => name === object);
  const isOwn =
    strategy === "shard" || (cores === 1 && runtime.kind === "plain");
  return (
    isOwn &&
    layout === "as-is" &&
    found?.type === "hash" &&
    !found.userWrites &&
    !filled.has(object) &&
    found.accesses.some(({ op }) => op === "update")
  );
}

function asTable(
  part: ObjectPart,
  capacities: readonly number[],
  isFree: boolean,
): ObjectPart {
  const { object, grade, deviations } = part;
  const [most = 0, least = most] = [capacities[0], capacities.at(-1)];
  const isOne = capacities.length === 1;
  const total = capacities.reduce((sum, each) => sum + each, 0);
  const kept = deviations.filter(({ code }) => code !== "full-table");
  const share: Deviation = {
    code: "table-per-core",
    object,
    text: `a core has room for ${most === least ? most : `${least} or ${most}`} of the ${total} entries of ${object}: its share may be full while others have room`,
  };
  return {
    ...part,
    reason: `${part.reason}; entries in ${isOne ? "a table of the program's own" : "a table per core"}`,
    layout: "table",
    layoutChanged: true,
    capacities,
    grade: isFree ? grade : "partitioned",
    deviations: isFree ? kept : [...kept, share],
  };
}
