/** What a rebalanced run is asked for and answers; both drivers have these. */
import { Random } from "../../../base/index.ts";
import type { MapEntry } from "../../../interp/index.ts";
import type { ProgramSpec } from "../../../isa/index.ts";
import type { PackedPackets } from "../packed-packets.ts";
import type { LoadOptions } from "../prepare.ts";
import type { PacketNotes } from "./core-run.ts";
import type { RebalanceMutant } from "./lane.ts";
import type { MovingTable } from "./moving-table.ts";
import { chainContents, type RecordChain } from "./chain-records.ts";
import type { RecordMap } from "./records.ts";
import { TableDispatcher, type Decide, type Tick } from "./table-dispatcher.ts";

export interface RebalanceOptions {
  readonly program: ProgramSpec;
  readonly cores: number;
  readonly packets: PackedPackets;
  /** Table entry and port of each packet. */
  readonly entries: Uint16Array;
  readonly ports: Uint8Array;
  /** Queue of each table entry at the start. */
  readonly table: readonly number[];
  readonly records: readonly RecordMap[];
  /** Of the maps whose entries an allocator numbers. */
  readonly chains?: readonly RecordChain[];
  readonly decide?: Decide;
  /** Packets between decisions. Default 2,000. */
  readonly interval?: number;
  /** Most packets until a port has a written table. Default 200. */
  readonly delay?: number;
  readonly seed?: number;
  readonly contents?: LoadOptions["contents"];
  /** For tests: breaks the protocol. */
  readonly mutant?: RebalanceMutant;
}

export interface RebalanceRun {
  readonly packets: number;
  /** By packet. */
  readonly verdicts: Uint32Array;
  readonly digests: Uint32Array;
  /** The order of running, from 1; 0: never run. */
  readonly tickets: Uint32Array;
  readonly coreOf: Uint8Array;
  /** Packets that ran more than once. */
  readonly repeated: number;
  readonly ticks: readonly Tick[];
  /** Writes of the table, on all ports each. */
  readonly updates: number;
  /** Entries that moved. */
  readonly moved: number;
  /** Records that moved with them. */
  readonly records: number;
  readonly table: readonly number[];
  /** Per core. */
  readonly counts: readonly number[];
  readonly contents: readonly Readonly<Record<string, readonly MapEntry[]>>[];
}

/** What a core's maps begin with: the common contents, and its range of each chain. */
export function coreContents(
  { contents = {}, chains = [] }: RebalanceOptions,
  core: number,
): NonNullable<LoadOptions["contents"]> {
  return {
    ...contents,
    ...Object.fromEntries(
      chains.map((chain) => [chain.array, chainContents(chain, core)]),
    ),
  };
}

export function dispatcherFor(
  options: RebalanceOptions,
  moving: MovingTable,
): TableDispatcher {
  const { entries, ports, table, cores, mutant } = options;
  return new TableDispatcher({
    entries,
    ports,
    table,
    cores,
    moving,
    portCount: ports.reduce((most, port) => Math.max(most, port), 0) + 1,
    interval: options.interval ?? 2000,
    delay: options.delay ?? 200,
    decide: options.decide,
    random: new Random((options.seed ?? 1) ^ 0x5eed),
    ...(mutant === "one-port" ? { onlyPort: 0 } : {}),
  });
}

export function resultOf(
  options: RebalanceOptions,
  dispatcher: TableDispatcher,
  found: {
    readonly notes: PacketNotes;
    readonly records: number;
    readonly counts: readonly number[];
    readonly contents: RebalanceRun["contents"];
  },
): RebalanceRun {
  const { notes } = found;
  return {
    packets: options.packets.count,
    verdicts: new Uint32Array(notes.verdicts),
    digests: new Uint32Array(notes.digests),
    tickets: new Uint32Array(notes.tickets),
    coreOf: new Uint8Array(notes.cores),
    repeated: new Int32Array(notes.counters)[1] ?? 0,
    ticks: dispatcher.ticks,
    updates: dispatcher.updates,
    moved: dispatcher.moved,
    records: found.records,
    table: dispatcher.table,
    counts: found.counts,
    contents: found.contents,
  };
}

/** What order and completeness ask: each packet once, and in order within its key. */
export function orderOf(
  { tickets, repeated }: RebalanceRun,
  keys: Uint32Array,
): {
  readonly lost: number;
  readonly repeated: number;
  readonly reordered: number;
} {
  const last = new Map<number, number>();
  let lost = 0;
  let reordered = 0;
  for (const [packet, ticket] of tickets.entries()) {
    const key = keys[packet] ?? 0;
    if (ticket === 0) lost++;
    else if (ticket < (last.get(key) ?? 0)) reordered++;
    else last.set(key, ticket);
  }
  return { lost, repeated, reordered };
}
