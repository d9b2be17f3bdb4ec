/**
 * The table, and the hand that writes it: which core gets a packet, how many each
 * entry had, when entries move. It stands for the NIC: there is a copy of the table at
 * every port, and a write reaches them one by one, some packets later each; so packets
 * of a moving entry go on arriving at the old core for a while.
 *
 *   decide    every `interval` packets: moves, from the counts since then and, at half
 *             their weight, those before. All moves of a tick are one table update
 *   mark      the entries move from this packet on; then the writes begin
 *   fence     every port has the new table: the source is told, with the number of
 *             packets that it was given until then
 *   settled   the destination has the records and goes on
 */
import type { Random } from "../../../base/index.ts";
import type { MovingTable } from "./moving-table.ts";

export interface EntryMove {
  readonly entry: number;
  readonly from: number;
  readonly to: number;
}

/** Moves for what the entries had; `fixed` ones move already. */
export type Decide = (
  counts: Float64Array,
  table: readonly number[],
  fixed: (entry: number) => boolean,
) => readonly EntryMove[];

export interface Tick {
  /** Number of the first packet behind it. */
  readonly packet: number;
  /** Packets that each core was sent since the last tick. */
  readonly loads: readonly number[];
  /** Busiest core over the mean. */
  readonly imbalance: number;
  /** Table updates so far, the one of this tick included. */
  readonly updates: number;
  /** Entries that this tick moves. */
  readonly moves: number;
}

export interface Fence {
  readonly move: number;
  readonly from: number;
  readonly to: number;
  readonly entries: readonly number[];
}

export interface DispatcherOptions {
  /** Table entry and port of each packet. */
  readonly entries: Uint16Array;
  readonly ports: Uint8Array;
  readonly portCount: number;
  readonly table: readonly number[];
  readonly cores: number;
  /** Packets from tick to tick. */
  readonly interval: number;
  /** Absent: the table stays. */
  readonly decide?: Decide | undefined;
  readonly moving: MovingTable;
  /** Draws how many packets later each port has the new table. */
  readonly random: Random;
  /** At most that many. */
  readonly delay: number;
  readonly onlyPort?: number | undefined;
}

interface Write {
  readonly port: number;
  readonly at: number;
  readonly moves: readonly EntryMove[];
  readonly update: number;
}

export class TableDispatcher {
  readonly ticks: Tick[] = [];
  updates = 0;
  /** Entries moved, over all updates. */
  moved = 0;
  readonly #options: DispatcherOptions;
  /** As it will be once all writes are done. */
  readonly #table: number[];
  readonly #tables: number[][];
  #counts: Float64Array;
  #loads: number[];
  #writes: Write[] = [];
  /** Updates whose writes are not all done. */
  readonly #open = new Map<
    number,
    { left: number; fences: readonly Fence[] }
  >();
  #fences: Fence[] = [];
  #moves = 0;
  readonly #unsettled = new Map<number, Fence>();

  constructor(options: DispatcherOptions) {
    this.#options = options;
    const { table, portCount, cores } = options;
    this.#table = [...table];
    this.#tables = Array.from({ length: portCount }, () => [...table]);
    this.#counts = new Float64Array(table.length);
    this.#loads = Array.from({ length: cores }, () => 0);
  }

  /** The table as decided. */
  get table(): readonly number[] {
    return this.#table;
  }

  /** Moves that have not settled. */
  get unsettled(): number {
    return this.#unsettled.size;
  }

  /** The packet's core. Numbers ascend by one. */
  coreOf(packet: number): number {
    const { entries, ports, interval } = this.#options;
    if (packet > 0 && packet % interval === 0) this.#tick(packet);
    this.#write(packet);
    const entry = entries[packet] ?? 0;
    const core = this.#tables[ports[packet] ?? 0]?.[entry] ?? 0;
    this.#counts[entry] = (this.#counts[entry] ?? 0) + 1;
    this.#loads[core] = (this.#loads[core] ?? 0) + 1;
    return core;
  }

  /** Fences since the last call: all that their sources get is on its way. */
  takeFences(): readonly Fence[] {
    const fences = this.#fences;
    if (fences.length > 0) this.#fences = [];
    return fences;
  }

  /** No packet comes any more: what is not written yet is written now. */
  finish(): void {
    this.#write(Infinity);
  }

  settled(move: number): void {
    const fence = this.#unsettled.get(move);
    if (fence === undefined) return;
    this.#unsettled.delete(move);
    for (const entry of fence.entries) this.#options.moving.end(entry);
  }

  #tick(packet: number): void {
    const { cores, decide, moving } = this.#options;
    const loads = this.#loads;
    const total = loads.reduce((sum, load) => sum + load, 0);
    const moves =
      decide?.(this.#counts, this.#table, (entry) => moving.isMoving(entry)) ??
      [];
    if (moves.length > 0) this.#begin(moves, packet);
    this.ticks.push({
      packet,
      loads,
      imbalance: total === 0 ? 1 : (Math.max(...loads) * cores) / total,
      updates: this.updates,
      moves: moves.length,
    });
    this.#loads = Array.from({ length: cores }, () => 0);
    this.#counts = this.#counts.map((count) => count / 2);
  }

  #begin(moves: readonly EntryMove[], packet: number): void {
    const { moving, random, delay, portCount, onlyPort } = this.#options;
    const update = ++this.updates;
    this.moved += moves.length;
    const pairs = new Map<string, EntryMove[]>();
    for (const move of moves) {
      this.#table[move.entry] = move.to;
      const name = `${move.from} ${move.to}`;
      pairs.set(name, [...(pairs.get(name) ?? []), move]);
    }
    const fences: Fence[] = [];
    for (const [first, ...more] of pairs.values()) {
      if (first === undefined) continue;
      const entries = [first, ...more].map(({ entry }) => entry);
      const fence = {
        move: ++this.#moves,
        from: first.from,
        to: first.to,
        entries,
      };
      for (const entry of entries)
        moving.begin(entry, first.to, { move: fence.move, since: packet });
      this.#unsettled.set(fence.move, fence);
      fences.push(fence);
    }
    let left = 0;
    for (let port = 0; port < portCount; port++) {
      if (onlyPort !== undefined && port !== onlyPort) continue;
      left++;
      const at = packet + random.below(delay + 1);
      this.#writes.push({ port, at, moves, update });
    }
    this.#open.set(update, { left, fences });
  }

  #write(packet: number): void {
    if (this.#writes.length === 0) return;
    const due = this.#writes.filter(({ at }) => at <= packet);
    if (due.length === 0) return;
    this.#writes = this.#writes.filter(({ at }) => at > packet);
    for (const { port, moves, update } of due) {
      const table = this.#tables[port];
      for (const { entry, to } of moves) if (table) table[entry] = to;
      const open = this.#open.get(update);
      if (open === undefined || --open.left > 0) continue;
      this.#open.delete(update);
      this.#fences.push(...open.fences);
    }
  }
}
