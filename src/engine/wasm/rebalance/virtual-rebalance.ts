/**
 * Rebalancing on virtual cores, in one thread: a seeded interleaver lets some core
 * work on some of its packets, then the table send some more. The same seed gives the
 * same run, so that a broken protocol is caught every time.
 */
import { Random } from "../../../base/index.ts";
import { loadPortable, type PortableProgram } from "../program.ts";
import { CoreRun, makeNotes } from "./core-run.ts";
import { Lane, type Handover } from "./lane.ts";
import { MovingTable } from "./moving-table.ts";
import {
  coreContents,
  dispatcherFor,
  resultOf,
  type RebalanceOptions,
  type RebalanceRun,
} from "./rebalance-run.ts";
import type { MovedRecords } from "./records.ts";
import type { Fence } from "./table-dispatcher.ts";

interface VirtualCore {
  readonly program: PortableProgram;
  readonly run: CoreRun;
  readonly lane: Lane<MovedRecords>;
  /** Packets that the table sent, and how many are taken. */
  readonly ring: number[];
  taken: number;
  /** Fences, each with the number of packets that come before it, here and there. */
  fences: (Fence & { readonly behind: number; readonly behindTo: number })[];
  /** What other cores handed over, each with the packets that come before it here. */
  inbox: { readonly handover: Handover<MovedRecords>; behind: number }[];
}

/** Packets that a core may be behind. */
const ringSize = 1024;

export function rebalanceVirtually(options: RebalanceOptions): RebalanceRun {
  return new VirtualCores(options).run();
}

class VirtualCores {
  readonly #options: RebalanceOptions;
  readonly #random: Random;
  readonly #notes;
  readonly #cores: readonly VirtualCore[];
  readonly #dispatcher;
  #records = 0;

  constructor(options: RebalanceOptions) {
    const { program, packets, records, entries, mutant, seed = 1 } = options;
    this.#options = options;
    this.#random = new Random(seed);
    const moving = MovingTable.of(options.table.length);
    const notes = makeNotes(packets.count);
    this.#notes = notes;
    this.#cores = Array.from({ length: options.cores }, (_, core) => {
      const loaded = loadPortable(program, {
        cpus: options.cores,
        seed,
        contents: coreContents(options, core),
      });
      const run = new CoreRun(core, {
        program: loaded,
        packets,
        plan: { maps: records, chains: options.chains ?? [] },
        notes,
        mutant,
      });
      const lane = new Lane(core, { moving, entries, work: run, mutant });
      return {
        program: loaded,
        run,
        lane,
        ring: [],
        taken: 0,
        fences: [],
        inbox: [],
      };
    });
    this.#dispatcher = dispatcherFor(options, moving);
  }

  run(): RebalanceRun {
    const { count } = this.#options.packets;
    let next = 0;
    while (next < count) {
      const some = Math.min(count - next, 1 + this.#random.below(128));
      for (const end = next + some; next < end; next++) this.#send(next);
      this.#workSome();
    }
    this.#dispatcher.finish();
    this.#fence();
    while (this.#isBusy()) this.#workSome();
    for (const { lane } of this.#cores) lane.flush();
    return resultOf(this.#options, this.#dispatcher, {
      notes: this.#notes,
      records: this.#records,
      counts: this.#cores.map(({ run }) => run.count),
      contents: this.#cores.map(({ program }) => program.contents()),
    });
  }

  #send(packet: number): void {
    const core = this.#cores[this.#dispatcher.coreOf(packet)];
    this.#fence();
    if (core === undefined) return;
    while (core.ring.length - core.taken >= ringSize) this.#work(core, 64);
    core.ring.push(packet);
  }

  #fence(): void {
    const { mutant } = this.#options;
    for (const fence of this.#dispatcher.takeFences()) {
      const source = this.#cores[fence.from];
      const isEarly = mutant === "no-fence";
      const target = this.#cores[fence.to];
      source?.fences.push({
        ...fence,
        behind: isEarly ? 0 : source.ring.length,
        behindTo: mutant === "early-replay" ? 0 : (target?.ring.length ?? 0),
      });
    }
  }

  #isBusy(): boolean {
    return (
      this.#dispatcher.unsettled > 0 ||
      this.#cores.some(({ ring, taken }) => taken < ring.length)
    );
  }

  /** Some cores, in a drawn order, each some packets. */
  #workSome(): void {
    for (let turn = 0; turn < this.#cores.length; turn++)
      this.#work(
        this.#random.pick(this.#cores),
        this.#random.below(2 + 256 / this.#cores.length),
      );
  }

  #work(core: VirtualCore, most: number): void {
    const end = Math.min(core.ring.length, core.taken + most);
    this.#takeOver(core);
    this.#handOver(core);
    while (core.taken < end) {
      const packet = core.ring[core.taken++];
      if (packet !== undefined) core.lane.take(packet);
      if (core.inbox.length > 0) this.#takeOver(core);
      if (core.fences.length > 0) this.#handOver(core);
    }
    core.lane.flush();
  }

  #takeOver(core: VirtualCore): void {
    const ready = core.inbox.filter(({ behind }) => behind <= core.taken);
    if (ready.length === 0) return;
    core.inbox = core.inbox.filter(({ behind }) => behind > core.taken);
    for (const { handover } of ready) {
      core.lane.receive(handover);
      this.#dispatcher.settled(handover.move);
    }
  }

  #handOver(core: VirtualCore): void {
    const passed = core.fences.filter(({ behind }) => behind <= core.taken);
    if (passed.length === 0) return;
    core.fences = core.fences.filter(({ behind }) => behind > core.taken);
    for (const { move, to, entries, behindTo } of passed) {
      const given = core.lane.handOver(move, entries);
      this.#records += given.records.maps.reduce(
        (sum, { entries }) => sum + entries.length,
        0,
      );
      const handover = { move, to, entries, ...given };
      this.#cores[to]?.inbox.push({ handover, behind: behindTo });
    }
  }
}
