/**
 * The table of a dispatcher with tickets (src/codegen/bpf/dispatch/tickets.ts), rewritten while packets
 * pass. One turn, as often as the caller likes:
 *
 *   settle    an entry that moved has settled when its new CPU has it (owner = table). One
 *             that has no packets never gets there by itself: where its old CPU is
 *             through with all that it was sent, the owner is written here
 *   decide    from the packets that each entry had since the last turn and, at half
 *             their weight, those before (rss: greedyMoves)
 *   write     a word per entry, each at once
 *
 * Law: nothing is decided before all moves have settled, and the moves of one turn go
 * from a busier CPU to a less busy one; so no two CPUs ever wait for each other. All
 * state is in the maps: whoever comes after a killed controller goes on where it was.
 *
 * A frame that a full queue dropped leaves its CPU with less done than sent until the next
 * frame. Where both have stood still for `quiet` milliseconds, it is closed here.
 *
 * At most one controller at a time: the caller sees to that.
 */
import { UnsupportedError } from "../base/index.ts";
import {
  dispatchTable,
  mostSources,
  sentOffset,
  ticketCounts,
  ticketDone,
  ticketOwners,
  ticketSources,
  ticketWaits,
} from "../codegen/index.ts";
import type { KernelMap } from "../engine/index.ts";
import {
  coreLoads,
  greedyMoves,
  imbalanceOfCounts,
  type EntryMove,
} from "../rss/index.ts";

/** Maps that a live table is made of. */
export const liveTableMaps = [
  dispatchTable,
  ticketCounts,
  ticketDone,
  ticketOwners,
  ticketSources,
  ticketWaits,
] as const;

/** What is used of a map; tests put others in its place. */
export type LiveMap = Pick<KernelMap, "entries" | "inMemory"> & {
  readonly spec: Pick<KernelMap["spec"], "maxEntries">;
};

export interface LiveTableOptions {
  readonly map: (name: (typeof liveTableMaps)[number]) => LiveMap;
  readonly cores: number;
  /** Busiest CPU over the mean that is let be; default 1.08. */
  readonly bearable?: number;
  /** Entries of one update; default 16. */
  readonly most?: number;
  /** Fewer packets since the last turn say nothing; default 100. */
  readonly fewest?: number;
  /** Milliseconds; a clock that tests can set. */
  readonly now?: () => number;
}

export interface LiveTurn {
  /** Packets since the last turn, and per CPU as the table was. */
  readonly packets: number;
  readonly loads: readonly number[];
  /** Of these; 1 where there were none. */
  readonly imbalance: number;
  readonly moves: readonly EntryMove[];
  /** Entries that have moved and not settled, before this turn's moves. */
  readonly unsettled: number;
  /** Entries that alone have more than a CPU's share, the largest first. */
  readonly elephants: readonly {
    readonly entry: number;
    readonly share: number;
  }[];
}

export interface LiveWaits {
  /** Entries that a worker waited for. */
  readonly waits: number;
  /** Of these, without an end: order is not known to have been kept. */
  readonly givenUp: number;
  readonly nanoseconds: number;
}

const quiet = 500;

export class LiveTable {
  readonly #options: LiveTableOptions;
  readonly #cores: number;
  readonly #maps: Readonly<Record<(typeof liveTableMaps)[number], LiveMap>>;
  #before: Float64Array | undefined;
  #counts: Float64Array | undefined;
  /** By source and CPU: what stood there, and since when. */
  readonly #still = new Map<
    number,
    { readonly sent: number; readonly done: number; readonly since: number }
  >();
  /** Dropped frames behind which nothing came. */
  closed = 0;
  updates = 0;
  moved = 0;

  constructor(options: LiveTableOptions) {
    this.#options = options;
    this.#cores = options.cores;
    this.#maps = Object.fromEntries(
      liveTableMaps.map((name) => [name, options.map(name)]),
    ) as Record<(typeof liveTableMaps)[number], LiveMap>;
  }

  /** Decides, and writes. */
  turn(): LiveTurn {
    const decided = this.decide();
    this.write(decided.moves);
    return decided;
  }

  decide(): LiveTurn {
    const now = this.#entryCounts();
    const before = this.#before ?? now;
    const since = now.map((count, entry) => count - (before[entry] ?? 0));
    this.#before = now;
    const packets = since.reduce((sum, count) => sum + count, 0);
    const table = this.#words(dispatchTable);
    const held = this.#counts;
    const counts = since.map((count, entry) => count + (held?.[entry] ?? 0));
    this.#counts = counts.map((count) => count / 2);
    this.#closeHoles();
    const unsettled = this.#settle(table);
    const { bearable, most, fewest = 100 } = this.#options;
    const moves =
      unsettled > 0 || packets < fewest
        ? []
        : greedyMoves(counts, {
            entries: table,
            cores: this.#cores,
            allowed: downhill(coreLoads(counts, table, this.#cores)),
            ...(bearable === undefined ? {} : { bearable }),
            ...(most === undefined ? {} : { most }),
          });
    const total = counts.reduce((sum, count) => sum + count, 0);
    return {
      packets,
      loads: [...coreLoads(since, table, this.#cores)],
      imbalance: imbalanceOfCounts(since, table, this.#cores),
      moves,
      unsettled,
      elephants: [...counts.keys()]
        .map((entry) => ({ entry, share: (counts[entry] ?? 0) / total }))
        .filter(({ share }) => share > 1 / this.#cores)
        .sort((one, other) => other.share - one.share),
    };
  }

  /** What `decide` decided last. Quick: a word per entry. */
  write(moves: readonly EntryMove[]): void {
    if (moves.length === 0) return;
    this.#store(
      dispatchTable,
      moves.map(({ entry, to }) => ({ entry, cpu: to })),
    );
    this.updates++;
    this.moved += moves.length;
  }

  /** Entries that have moved and not settled; those that can be settled are. */
  settle(): number {
    return this.#settle(this.#words(dispatchTable));
  }

  get waits(): LiveWaits {
    const sums = [0, 0, 0];
    for (const [, [value = new Uint8Array(24)]] of this.#maps[
      ticketWaits
    ].entries())
      for (const [at, word] of words64(value).entries())
        sums[at] = (sums[at] ?? 0) + Number(word);
    const [waits = 0, givenUp = 0, nanoseconds = 0] = sums;
    return { waits, givenUp, nanoseconds };
  }

  /** Packets that each CPU's worker is through with. */
  get done(): readonly number[] {
    return this.#maps[ticketDone]
      .entries()
      .map(([, [value = new Uint8Array()]]) =>
        words64(value).reduce((sum, word) => sum + Number(word), 0),
      );
  }

  #entryCounts(): Float64Array {
    const counts = new Float64Array(this.#maps[dispatchTable].spec.maxEntries);
    for (const [key, values] of this.#maps[ticketCounts].entries())
      for (const value of values) {
        const entry = wordOf(key);
        counts[entry] = (counts[entry] ?? 0) + Number(words64(value)[0] ?? 0n);
      }
    return counts;
  }

  #words(name: typeof dispatchTable | typeof ticketOwners): readonly number[] {
    const map = this.#maps[name];
    return map.inMemory((bytes) => {
      const view = words32(bytes);
      return Array.from({ length: map.spec.maxEntries }, (_, entry) =>
        Atomics.load(view, 2 * entry),
      );
    });
  }

  #store(
    name: typeof dispatchTable | typeof ticketOwners,
    entries: readonly { readonly entry: number; readonly cpu: number }[],
  ): void {
    if (entries.length === 0) return;
    this.#maps[name].inMemory((bytes) => {
      const view = words32(bytes);
      for (const { entry, cpu } of entries) Atomics.store(view, 2 * entry, cpu);
    });
  }

  #settle(table: readonly number[]): number {
    const owners = this.#words(ticketOwners);
    const moving = table.flatMap((cpu, entry) => {
      const owner = owners[entry] ?? 0;
      return owner === cpu ? [] : [{ entry, cpu, owner }];
    });
    if (moving.length === 0) return 0;
    // In this order: every run that may have the old table has ended, and what it sent
    // is counted, before the counts are read.
    const begun = this.#sources().map((row) => row[0] ?? 0n);
    const sources = this.#sources();
    if (sources.some((row, source) => (row[1] ?? 0n) < (begun[source] ?? 0n)))
      return moving.length;
    const sent = this.#sources();
    const done = this.#done();
    const isThrough = (cpu: number): boolean =>
      sent.every(
        (row, source) =>
          (Number((done[cpu]?.[source] ?? 0n) & 0xffff_ffffn) -
            Number((row[sentOffset / 8 + cpu] ?? 0n) & 0xffff_ffffn)) >>
            0 >=
          0,
      );
    const through = Array.from({ length: this.#cores }, (_, cpu) =>
      isThrough(cpu),
    );
    const settled = moving.filter(({ owner }) => through[owner] === true);
    this.#store(ticketOwners, settled);
    return moving.length - settled.length;
  }

  #sources(): readonly BigUint64Array[] {
    return this.#maps[ticketSources]
      .entries()
      .map(([, [value = new Uint8Array()]]) => words64(value));
  }

  #done(): readonly BigUint64Array[] {
    return this.#maps[ticketDone]
      .entries()
      .map(([, [value = new Uint8Array()]]) => words64(value));
  }

  #closeHoles(): void {
    const { now = () => performance.now() } = this.#options;
    const time = now();
    const done = this.#done();
    for (const [source, row] of this.#sources().entries()) {
      if ((row[0] ?? 0n) === 0n) continue;
      for (let cpu = 0; cpu < this.#cores; cpu++) {
        const name = cpu * mostSources + source;
        const sent = Number((row[sentOffset / 8 + cpu] ?? 0n) & 0xffff_ffffn);
        const through = Number((done[cpu]?.[source] ?? 0n) & 0xffff_ffffn);
        const still = this.#still.get(name);
        if (sent === through) this.#still.delete(name);
        else if (still?.sent !== sent || still.done !== through)
          this.#still.set(name, { sent, done: through, since: time });
        else if (time - still.since >= quiet) {
          if (through === 0) throw withoutTickets();
          this.#maps[ticketDone].inMemory((bytes) => {
            const view = new BigUint64Array(bytes.buffer, bytes.byteOffset);
            Atomics.store(view, name, BigInt(sent));
          });
          this.closed += (sent - through) >>> 0;
          this.#still.delete(name);
        }
      }
    }
  }
}

function withoutTickets(): UnsupportedError {
  return new UnsupportedError(
    "packets reach the workers without their tickets, so nothing can be moved in order",
    {
      feature: "metadata of frames behind a cpumap",
      fix: "attach in native mode; generic XDP loses it",
    },
  );
}

/** From a busier CPU to a less busy one, as they were at first. */
function downhill(loads: Float64Array): (from: number, to: number) => boolean {
  return (from, to) =>
    (loads[from] ?? 0) > (loads[to] ?? 0) ||
    (loads[from] === loads[to] && from < to);
}

const wordOf = (key: Uint8Array): number =>
  new DataView(key.buffer, key.byteOffset).getUint32(0, true);

const words64 = (value: Uint8Array): BigUint64Array =>
  new BigUint64Array(value.slice().buffer);

const words32 = (bytes: Uint8Array): Uint32Array =>
  new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
