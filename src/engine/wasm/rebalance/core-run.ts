/**
 * A core's program and maps as a `Lane` uses them, and what is noted of each packet:
 * verdict, digest of its outcome, the order in which runs began, and on which core.
 */
import type { PacketInput } from "../../../interp/index.ts";
import type { PackedPackets } from "../packed-packets.ts";
import type { PortableProgram } from "../program.ts";
import type { LaneWork, RebalanceMutant } from "./lane.ts";
import {
  extractRecords,
  installRecords,
  withoutFirst,
  type MovedRecords,
  type RecordPlan,
} from "./records.ts";

/** By packet; shared between threads. */
export interface PacketNotes {
  readonly verdicts: SharedArrayBuffer;
  /** Two words each. */
  readonly digests: SharedArrayBuffer;
  /** Tickets in the order of running, from 1; 0: never run. */
  readonly tickets: SharedArrayBuffer;
  readonly cores: SharedArrayBuffer;
  /** Word 0: the last ticket. Word 1: packets that ran twice. */
  readonly counters: SharedArrayBuffer;
}

export function makeNotes(packets: number): PacketNotes {
  const words = (count: number): SharedArrayBuffer =>
    new SharedArrayBuffer(4 * count);
  return {
    verdicts: words(packets),
    digests: words(2 * packets),
    tickets: words(packets),
    cores: new SharedArrayBuffer(packets),
    counters: words(2),
  };
}

export class CoreRun implements LaneWork<MovedRecords> {
  readonly #core: number;
  readonly #program: PortableProgram;
  readonly #packets: PackedPackets;
  readonly #plan: RecordPlan;
  readonly #mutant: RebalanceMutant | undefined;
  readonly #verdicts: Int32Array;
  readonly #digests: Uint32Array;
  readonly #tickets: Int32Array;
  readonly #cores: Uint8Array;
  readonly #counters: Int32Array;
  count = 0;

  constructor(
    core: number,
    parts: {
      readonly program: PortableProgram;
      readonly packets: PackedPackets;
      readonly plan: RecordPlan;
      readonly notes: PacketNotes;
      readonly mutant?: RebalanceMutant | undefined;
    },
  ) {
    const { notes } = parts;
    this.#core = core;
    this.#program = parts.program;
    this.#packets = parts.packets;
    this.#plan = parts.plan;
    this.#mutant = parts.mutant;
    this.#verdicts = new Int32Array(notes.verdicts);
    this.#digests = new Uint32Array(notes.digests);
    this.#tickets = new Int32Array(notes.tickets);
    this.#cores = new Uint8Array(notes.cores);
    this.#counters = new Int32Array(notes.counters);
  }

  run(numbers: readonly number[]): void {
    if (numbers.length === 0) return;
    let ticket = Atomics.add(this.#counters, 0, numbers.length);
    for (const number of numbers) {
      if (this.#tickets[number] !== 0) Atomics.add(this.#counters, 1, 1);
      this.#tickets[number] = ++ticket;
      this.#cores[number] = this.#core;
    }
    this.count += numbers.length;
    const inputs = numbers.map((number) => this.#input(number));
    let next = 0;
    this.#program.runBatches(inputs, (slot) => {
      const number = numbers[next++] ?? 0;
      this.#verdicts[number] = this.#program.verdict(slot);
      this.#program.digestInto(slot, this.#digests, 2 * number);
    });
  }

  extract(entries: ReadonlySet<number>): MovedRecords {
    const records = extractRecords(this.#program.maps, this.#plan, entries);
    return this.#mutant === "forgotten-record"
      ? withoutFirst(records)
      : records;
  }

  install(records: MovedRecords): void {
    installRecords(this.#program.maps, this.#plan.chains, records);
  }

  #input(number: number): PacketInput {
    const packet = this.#packets.packet(number);
    return { ...packet, cpu: this.#core, rxQueue: this.#core };
  }
}
