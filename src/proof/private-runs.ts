/**
 * The same packets on private state: one run per core, each with its share of the
 * capacity of every sharded object, as an engine that gives cores memory of their
 * own would run them. Outcomes must be the sequential ones.
 *
 * A difference is a mismatch, unless some core touches more cells than its share
 * holds: then a table may have been full that the whole one was not, and the
 * differing packets are counted as the capacity deviation instead.
 */
import type { PacketInput } from "../interp/index.ts";
import { mapTypeRow, type ProgramSpec } from "../isa/index.ts";
import { sameOutcome, type Mismatch } from "./compare.ts";
import type { Ownership, Steering } from "./ownership.ts";
import type { MapContents, Runner, RunRecord } from "./record.ts";

/** Equal shares of a capacity; the first cores get what does not divide. They sum to it. */
export function sharesOf(capacity: number, cores: number): number[] {
  const least = Math.floor(capacity / cores);
  return Array.from(
    { length: cores },
    (_, core) => least + (core < capacity % cores ? 1 : 0),
  );
}

/** What each core may hold of every sharded map, arrays excepted: they have all cells. */
export function sharedCapacities(
  program: ProgramSpec,
  sharded: ReadonlySet<string>,
  cores: number,
): Map<string, readonly number[]> {
  return new Map(
    program.maps
      .filter(
        ({ name, type }) =>
          sharded.has(name) && mapTypeRow(type).indexed !== true,
      )
      .map(({ name, maxEntries }) => [name, sharesOf(maxEntries, cores)]),
  );
}

/** One core's shares, never less than its first contents take. */
export function coreCapacities(
  shares: ReadonlyMap<string, readonly number[]>,
  core: number,
  contents: MapContents,
): Record<string, number> {
  return Object.fromEntries(
    [...shares].map(([name, row]) => [
      name,
      Math.max(row[core] ?? 1, contents[name]?.length ?? 0, 1),
    ]),
  );
}

export interface PrivateRunOptions {
  readonly episodes: readonly {
    readonly name: string;
    readonly packets: readonly PacketInput[];
    readonly steering: readonly number[];
  }[];
  readonly records: readonly RunRecord[];
  readonly ownership: Ownership;
  readonly steering: Steering;
  readonly cores: number;
  /** Capacity of each sharded object per core. */
  readonly shares: ReadonlyMap<string, readonly number[]>;
  readonly runOf: (core: number) => Runner;
}

export interface PrivateRuns {
  readonly mismatches: number;
  readonly capacityDeviation: number;
  readonly collisionDeviation?: number;
  readonly first: readonly Mismatch[];
}

export function runPrivately(options: PrivateRunOptions): PrivateRuns {
  const { episodes, records, steering, cores } = options;
  const first: Mismatch[] = [];
  let differing = 0;
  for (let core = 0; core < cores; core++) {
    const run = options.runOf(core);
    for (const [index, episode] of episodes.entries()) {
      const want = records[index];
      if (want === undefined) continue;
      const numbers = [...episode.packets.keys()].filter(
        (packet) => steering(episode.steering[packet] ?? 0) === core,
      );
      const packets = numbers.flatMap((packet) => {
        const input = episode.packets[packet];
        return input === undefined
          ? []
          : [{ ...input, cpu: core, rxQueue: core }];
      });
      const have = run(packets, cores);
      for (const [at, packet] of numbers.entries()) {
        if (sameOutcome(want, packet, have, at)) continue;
        differing++;
        if (first.length < 5)
          first.push({
            kind: "verdict",
            packet,
            text: `${episode.name}: outcome differs on private state of core ${core}`,
          });
      }
    }
  }
  return mayOverflow(options)
    ? { mismatches: 0, capacityDeviation: differing, first: [] }
    : { mismatches: differing, capacityDeviation: 0, first };
}

function mayOverflow({
  ownership,
  steering,
  shares,
}: PrivateRunOptions): boolean {
  for (const [map, cells] of ownership.cellsPerCore(steering))
    for (const [core, count] of cells.entries())
      if ((count ?? 0) > (shares.get(map)?.[core] ?? Infinity)) return true;
  return false;
}
