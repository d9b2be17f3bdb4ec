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
  /** How many packets write exactly these objects. */
  readonly writes: readonly {
    readonly objects: readonly string[];
    readonly packets: number;
  }[];
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

/** Share of the packets that write one of `objects`. */
export function writeShare(
  { packets, writes }: TrafficFacts,
  objects: ReadonlySet<string>,
): number {
  if (packets === 0) return 0;
  let writing = 0;
  for (const { objects: written, packets: count } of writes)
    if (written.some((name) => objects.has(name))) writing += count;
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
