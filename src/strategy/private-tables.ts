/**
 * Which hash maps of a plan become tables of each core's own (layout table).
 *
 *   shared   none: a map keeps its whole capacity and looks to user space as it did
 *   auto     where it weakens no grade: the plan's is partitioned anyway, or one core
 *   private  every one that can be
 *
 * A map can be where packets of one core alone meet each of its keys (sharded, or one
 * core), the program itself puts entries in, and user space does not write it. Whether
 * the code can be patched is the caller's to know: `obstacle`.
 *
 * Grade: on several cores partitioned, since a core's share may fill up; on one core
 * as it was. docs/decisions/0012-private-tables.md has the measurements.
 */
import type { StateReport } from "../analysis/index.ts";
import type { Diagnostic } from "../base/index.ts";
import { capacitySplit } from "./capacity.ts";
import type { Deviation, ObjectPart, Plan } from "./plan.ts";

export const tableLayouts = ["shared", "auto", "private"] as const;
export type TableChoice = (typeof tableLayouts)[number];

export interface TableRequest {
  readonly choice: TableChoice;
  /** Entries of a map. */
  readonly sizeOf: (map: string) => number;
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
  const isFree = plan.cores === 1 || plan.grade === "partitioned";
  if (choice === "shared" || (choice === "auto" && !isFree)) return plan;
  const notes: Diagnostic[] = [];
  const objects = plan.objects.map((part): ObjectPart => {
    if (!isCandidate(part, plan, report, request)) return part;
    const capacities = capacitySplit(sizeOf(part.object), plan.cores);
    const reason =
      (capacities.at(-1) ?? 0) < 1
        ? `it has fewer entries than there are cores`
        : obstacle(part.object, capacities);
    if (reason === undefined) return asTable(part, capacities);
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
  const isNew = ({ object = "" }: Deviation): boolean => changed.has(object);
  return {
    ...plan,
    objects,
    grade: changed.size === 0 || plan.cores === 1 ? plan.grade : "partitioned",
    deviations: [
      ...plan.deviations.filter(
        (deviation) => !(isNew(deviation) && deviation.code === "full-table"),
      ),
      ...objects
        .filter(({ object }) => changed.has(object))
        .flatMap(({ deviations }) =>
          deviations.filter(({ code }) => code === "table-per-core"),
        ),
    ],
    notes: [...plan.notes, ...notes],
  };
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

function asTable(part: ObjectPart, capacities: readonly number[]): ObjectPart {
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
    grade: isOne ? grade : "partitioned",
    deviations: isOne ? kept : [...kept, share],
  };
}
