/**
 * How an attachment brings packets to cores, and whether another one brings the same
 * packets to the same cores. State that only one core can see is found again after an
 * upgrade if it does, and else belongs to packets that now go elsewhere.
 *
 * Representation: digests of all that decides, of the NIC and of the dispatcher. The
 * dispatcher's table is none of it: the attached one stays (map-change.ts).
 */
import type { MapRecord } from "./attachment.ts";

export interface Placement {
  /** Keys, hash fields and indirection tables of the ports; absent: any queue will do. */
  readonly nic?: string;
  /** The dispatcher's code; absent: there is none. */
  readonly dispatcher?: string;
}

/** What an attachment record says; old ones have no placement. */
interface Placed {
  readonly cores: number;
  readonly placement?: Placement;
}

/** Where packets' cores change; undefined: each packet stays at its core. */
export function placementDifference(
  before: Placed,
  after: Placed,
): string | undefined {
  if (before.cores !== after.cores)
    return `the new plan has ${coresText(after.cores)}, not ${before.cores}`;
  if (after.cores === 1) return undefined;
  const [old, now] = [before.placement, after.placement];
  if (old === undefined || now === undefined)
    return "how packets found their cores is not on record";
  if (old.dispatcher === undefined && now.dispatcher !== undefined)
    return "a dispatcher brings packets to their cores now, not the NIC";
  if (old.dispatcher !== undefined && now.dispatcher === undefined)
    return "the NIC brings packets to their cores now, not a dispatcher";
  if (old.dispatcher !== now.dispatcher)
    return "the new plan's dispatcher takes packets to other cores";
  if (old.nic !== now.nic)
    return "the new plan has another key, other hash fields or another table of the NIC";
  return undefined;
}

function coresText(cores: number): string {
  return cores === 1 ? "1 core" : `${cores} cores`;
}

/** A packet finds its state in it only on one core: the one where it was written. */
export function isPrivate({
  strategy,
  type,
  lanes,
  cores,
}: MapRecord): boolean {
  // Sums over all cores are the same wherever their parts are.
  if (strategy === "merge") return false;
  if (cores !== undefined) return cores.layout !== "locked";
  const isPerCpu = type.includes("percpu");
  return strategy === "shard" && isPerCpu && lanes.length === 0;
}
