/**
 * One core's part in moving table entries: what it does with each packet, when it
 * hands over, and when it goes on. The same on virtual cores and on real threads.
 *
 *   source        runs what came before the mark; keeps back what comes behind it
 *                 (stragglers: the table is not written everywhere at once); past the
 *                 fence hands over records and stragglers
 *   destination   buffers what comes behind the mark; past a fence of its own (until
 *                 every port has the new table, a packet may come here while one
 *                 that arrived later goes to the source) takes the records, then runs
 *                 stragglers and buffer in the order of arrival
 *
 * Law: the packets of an entry run in the order of arrival, on one core at a time,
 * each once. Packets are numbers here; what runs them is the `LaneWork`.
 */
import type { MovingTable } from "./moving-table.ts";

export interface Handover<Records> {
  readonly move: number;
  readonly to: number;
  readonly entries: readonly number[];
  readonly records: Records;
  /** Packets that the source kept back, in the order of arrival. */
  readonly stragglers: readonly number[];
}

export interface LaneWork<Records> {
  /** Runs packets, in order. */
  run(packets: readonly number[]): void;
  /** Takes the records of these entries out. */
  extract(entries: ReadonlySet<number>): Records;
  install(records: Records): void;
}

/** How a test breaks the protocol. */
export type RebalanceMutant =
  | "no-fence"
  | "early-replay"
  | "forgotten-record"
  | "wrong-order"
  | "one-port"
  | "no-buffer";

const most = 64;

export class Lane<Records> {
  readonly #core: number;
  readonly #moving: MovingTable;
  readonly #entries: Uint16Array;
  readonly #work: LaneWork<Records>;
  readonly #mutant: RebalanceMutant | undefined;
  #batch: number[] = [];
  /** By move: packets that wait here. */
  readonly #waiting = new Map<number, number[]>();
  /** Moves to here whose records have arrived. */
  readonly #arrived = new Set<number>();
  /** Moves from here that were handed over. */
  readonly #gone = new Set<number>();

  constructor(
    core: number,
    parts: {
      readonly moving: MovingTable;
      /** Of each packet. */
      readonly entries: Uint16Array;
      readonly work: LaneWork<Records>;
      readonly mutant?: RebalanceMutant | undefined;
    },
  ) {
    this.#core = core;
    this.#moving = parts.moving;
    this.#entries = parts.entries;
    this.#work = parts.work;
    this.#mutant = parts.mutant;
  }

  /** A packet that the table sent here. Run by the next `flush` at the latest. */
  take(packet: number): void {
    const entry = this.#entries[packet] ?? 0;
    const move = this.#moving.moveOf(entry, packet);
    if (move !== 0 && this.#waits(entry, move)) {
      const waiting = this.#waiting.get(move) ?? [];
      waiting.push(packet);
      this.#waiting.set(move, waiting);
      return;
    }
    this.#batch.push(packet);
    if (this.#batch.length >= most) this.flush();
  }

  flush(): void {
    if (this.#batch.length === 0) return;
    const batch = this.#batch;
    this.#batch = [];
    this.#work.run(batch);
  }

  /** The fence is passed: no packet of these entries comes here any more. */
  handOver(
    move: number,
    entries: readonly number[],
  ): Pick<Handover<Records>, "records" | "stragglers"> {
    this.flush();
    const stragglers = this.#waiting.get(move) ?? [];
    this.#waiting.delete(move);
    this.#gone.add(move);
    return { records: this.#work.extract(new Set(entries)), stragglers };
  }

  /** Records and stragglers arrive: the entries are at home here. */
  receive({ move, records, stragglers }: Handover<Records>): void {
    this.flush();
    this.#work.install(records);
    this.#arrived.add(move);
    const own = this.#waiting.get(move) ?? [];
    this.#waiting.delete(move);
    const inOrder = [...stragglers, ...own].sort((left, right) =>
      this.#mutant === "wrong-order" ? right - left : left - right,
    );
    this.#work.run(inOrder);
  }

  /** Packets that wait for a hand-over. */
  get pending(): number {
    let sum = 0;
    for (const waiting of this.#waiting.values()) sum += waiting.length;
    return sum;
  }

  #waits(entry: number, move: number): boolean {
    if (this.#moving.destination(entry) !== this.#core)
      return !this.#gone.has(move);
    return !this.#arrived.has(move) && this.#mutant !== "no-buffer";
  }
}
