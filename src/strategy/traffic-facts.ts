/**
 * What a sample of the user's traffic does to the program's state, in one run of
 * the sequential program: input of the cost model, never of what is allowed.
 * measured-traffic.ts takes it; this file reads it.
 */
import type { Requirement } from "../rss/index.ts";
import {
  balanceTable,
  reachableEntries,
  type KeySolution,
} from "../rss/index.ts";
import type { SteeringInputs } from "./steering.ts";

export interface TrafficFacts {
  /** Packets that are counted here. */
  readonly packets: number;
  /** Packets that ran before them, on empty state, and are not counted. */
  readonly warmUp?: number;
  readonly instructions: number;
  readonly touches: Readonly<Record<string, ObjectTouches>>;
  /** How many packets write exactly so. */
  readonly writes: readonly PacketWrites[];
  /** Packets by port, in the order of the plan's ports. */
  readonly ports?: readonly number[];
  /** What the NIC sees of the whole trace, with how often it sees it. */
  readonly seen?: {
    readonly inputs: SteeringInputs;
    readonly packets: readonly number[];
  };
}

export interface ObjectTouches {
  /** Look-ups. */
  readonly cells: number;
  /** Entries made, overwritten and deleted. */
  readonly entries: number;
  /** Packets that touch it at all. */
  readonly packets?: number;
}

export interface PacketWrites {
  readonly objects: readonly string[];
  /** Allocators of which nothing but the age of an entry is written. */
  readonly refreshed: readonly string[];
  /** Are entries made or deleted, of any object? */
  readonly makesEntries: boolean;
  readonly packets: number;
}

/**
 * Share of the packets that write one of `objects`. Making an entry anywhere counts:
 * an attempt cannot take it back. A lock leaves the age of entries to each core.
 */
export function writeShare(
  { packets, writes }: TrafficFacts,
  objects: ReadonlySet<string>,
  isTransaction: boolean,
): number {
  if (packets === 0) return 0;
  const isAmong = (names: readonly string[]) =>
    names.some((name) => objects.has(name));
  let writing = 0;
  for (const write of writes)
    if (
      write.makesEntries ||
      isAmong(write.objects) ||
      (isTransaction && isAmong(write.refreshed))
    )
      writing += write.packets;
  return writing / packets;
}

/** Of the packets that are counted, those that write this object itself. */
export function ownWrites(
  { packets, writes }: TrafficFacts,
  object: string,
): { readonly written: number; readonly refreshed: number } {
  const share = (which: "objects" | "refreshed"): number => {
    let sum = 0;
    for (const write of writes)
      if (write[which].includes(object)) sum += write.packets;
    return packets === 0 ? 0 : sum / packets;
  };
  return { written: share("objects"), refreshed: share("refreshed") };
}

/** Share of the flow that most packets are of; undefined: nothing is known of flows. */
export function largestFlow({ seen }: TrafficFacts): number | undefined {
  if (seen === undefined) return undefined;
  let [most, total] = [0, 0];
  for (const packets of seen.packets) {
    most = Math.max(most, packets);
    total += packets;
  }
  return total === 0 ? undefined : most / total;
}

export interface Skew {
  /** Packets of the busiest core over the mean, with tables made for this traffic. */
  readonly busiest: number;
  /** Share of the table entry that most packets go to. */
  readonly largestEntry: number;
}

/** What keys make of this traffic; undefined: nothing is known of its flows. */
export function skewOf(
  { seen }: TrafficFacts,
  rss: KeySolution,
  { requirement, cores }: { requirement: Requirement; cores: number },
): Skew | undefined {
  if (seen === undefined) return undefined;
  const names = requirement.ports;
  const groupOf = names.map((name) =>
    rss.groups.findIndex(({ ports }) => ports.includes(name)),
  );
  const entryOf = seen.inputs.entries(
    names.map((name, at) => {
      const port = rss.ports.find((each) => each.name === name);
      return {
        key: port?.key ?? "",
        fields: port?.fields ?? ({} as never),
        table: rss.groups[groupOf[at] ?? 0]?.table.entries ?? [0],
      };
    }),
  );
  const counts = rss.groups.map(
    ({ table }) => new Float64Array(table.entries.length),
  );
  let total = 0;
  for (const [input, packets] of seen.packets.entries()) {
    const own = counts[groupOf[seen.inputs.seen(input).port] ?? 0];
    const entry = entryOf(input);
    if (own !== undefined) own[entry] = (own[entry] ?? 0) + packets;
    total += packets;
  }
  if (total === 0) return undefined;
  const loads = Array.from({ length: cores }, () => 0);
  let largest = 0;
  for (const [at, group] of rss.groups.entries()) {
    const own = counts[at] ?? new Float64Array();
    const { table } = balanceTable(own, {
      entries: group.table.entries,
      cores,
      reachable: reachableEntries(rss, requirement, group.ports),
    });
    for (const [entry, packets] of own.entries()) {
      const core = table.entries[entry] ?? 0;
      loads[core] = (loads[core] ?? 0) + packets;
      largest = Math.max(largest, packets);
    }
  }
  return {
    busiest: (Math.max(...loads) * cores) / total,
    largestEntry: largest / total,
  };
}
