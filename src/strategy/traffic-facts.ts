/**
 * What a sample of the user's traffic does to the program's state, in one run of
 * the sequential program: input of the cost model, never of what is allowed.
 */
import type { Steering } from "../proof/index.ts";
import type { PortConfig } from "../rss/index.ts";
import type { SteeringInputs } from "./steering.ts";

export interface TrafficFacts {
  readonly packets: number;
  readonly instructions: number;
  readonly touches: Readonly<Record<string, ObjectTouches>>;
  /** How many packets write exactly so. */
  readonly writes: readonly PacketWrites[];
  /** What the NIC sees of the sample, with how often it sees it. */
  readonly seen?: {
    readonly inputs: SteeringInputs;
    readonly packets: readonly number[];
  };
}

export interface ObjectTouches {
  /** Look-ups, and updates of what is there. */
  readonly cells: number;
  /** Entries made and deleted. */
  readonly entries: number;
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

/** Packets of the busiest core over the mean. */
export function busiestCore(
  { seen }: TrafficFacts,
  configs: readonly PortConfig[],
  cores: number,
): number | undefined {
  if (seen === undefined) return undefined;
  const coreOf: Steering = seen.inputs.cores(configs);
  const loads = Array.from({ length: cores }, () => 0);
  let total = 0;
  for (const [input, count] of seen.packets.entries()) {
    const core = coreOf(input);
    loads[core] = (loads[core] ?? 0) + count;
    total += count;
  }
  return total === 0 ? undefined : (Math.max(...loads) * cores) / total;
}
