/**
 * Rebalancing on real threads: a worker per core with maps of its own, and this thread
 * as the table in front of them. Which core is how far ahead is up to the machine, so
 * that two runs differ in their moves; what must hold of each is the same as on virtual
 * cores: every packet once, in order within its key, state as the sequential program's.
 */
import { Worker } from "node:worker_threads";
import { turn } from "../core.ts";
import { teamOf } from "../team.ts";
import { makeNotes } from "./core-run.ts";
import { MovingTable } from "./moving-table.ts";
import {
  laneBytes,
  laneWord,
  ringSize,
  type FromLane,
  type RebalanceStart,
  type ToLane,
} from "./rebalance-messages.ts";
import {
  coreContents,
  dispatcherFor,
  resultOf,
  type RebalanceOptions,
  type RebalanceRun,
} from "./rebalance-run.ts";
import type { TableDispatcher } from "./table-dispatcher.ts";

/** Packets between two turns of the event loop, in which workers are heard. */
const betweenTurns = 256;

export async function rebalanceOnThreads(
  options: RebalanceOptions,
): Promise<RebalanceRun> {
  const { program, packets, cores, seed = 1, contents, chains = [] } = options;
  const moving = MovingTable.of(options.table.length);
  const notes = makeNotes(packets.count);
  const dispatcher = dispatcherFor(options, moving);
  const { members } = teamOf({
    program,
    cores,
    seed,
    ...(contents === undefined ? {} : { contents }),
    ...(chains.length === 0
      ? {}
      : {
          perCore: Array.from({ length: cores }, (_, core) => ({
            contents: coreContents(options, core),
          })),
        }),
  });
  const entries = new SharedArrayBuffer(2 * packets.count);
  new Uint16Array(entries).set(options.entries);
  const lanes = members.map(
    ({ prepared, load }, core) =>
      new LaneThread({
        core,
        program,
        prepared,
        load,
        packets: packets.parts,
        notes,
        moving: moving.parts,
        entries,
        plan: { maps: options.records, chains },
        words: new SharedArrayBuffer(laneBytes),
        ring: new SharedArrayBuffer(4 * ringSize),
        ...(options.mutant === undefined ? {} : { mutant: options.mutant }),
      }),
  );
  const desk = new Desk(lanes, dispatcher, options.mutant);
  try {
    for (let packet = 0; packet < packets.count; packet++) {
      const lane = lanes[dispatcher.coreOf(packet)];
      desk.sendFences();
      if (lane !== undefined)
        while (!lane.offer(packet)) {
          await turn();
          desk.check();
        }
      if (packet % betweenTurns === 0) {
        for (const each of lanes) each.ring();
        await turn();
        desk.check();
      }
    }
    dispatcher.finish();
    desk.sendFences();
    for (const each of lanes) each.ring();
    while (dispatcher.unsettled > 0) {
      await turn();
      desk.check();
    }
    const finished = await desk.close();
    return resultOf(options, dispatcher, {
      notes,
      records: desk.records,
      counts: finished.map(({ count }) => count),
      contents: finished.map((each) => each.contents),
    });
  } finally {
    await Promise.all(lanes.map((lane) => lane.end()));
  }
}

type Finished = Extract<FromLane, { kind: "finished" }>;

/** Where fences go out and hand-overs pass through. */
class Desk {
  records = 0;
  readonly #lanes: readonly LaneThread[];
  readonly #dispatcher: TableDispatcher;
  readonly #mutant: RebalanceOptions["mutant"];
  readonly #finished: (Finished | undefined)[];
  #failure: Error | undefined;
  #wake: () => void = () => {};

  constructor(
    lanes: readonly LaneThread[],
    dispatcher: TableDispatcher,
    mutant: RebalanceOptions["mutant"],
  ) {
    this.#lanes = lanes;
    this.#dispatcher = dispatcher;
    this.#mutant = mutant;
    this.#finished = lanes.map(() => undefined);
    for (const [core, lane] of lanes.entries())
      lane.listen(
        (message) => this.#hear(core, message),
        (error) => this.#fail(error),
      );
  }

  sendFences(): void {
    for (const { move, from, to, entries } of this.#dispatcher.takeFences())
      this.#lanes[from]?.post({
        kind: "fence",
        move,
        to,
        entries,
        behind: this.#mutant === "no-fence" ? 0 : this.#sent(from),
        behindTo: this.#mutant === "early-replay" ? 0 : this.#sent(to),
      });
  }

  /** Throws once a worker has failed. */
  check(): void {
    if (this.#failure !== undefined) throw this.#failure;
  }

  async close(): Promise<readonly Finished[]> {
    for (const lane of this.#lanes) lane.post({ kind: "close" });
    for (;;) {
      this.check();
      const all = this.#finished.filter((each) => each !== undefined);
      if (all.length === this.#lanes.length) return all;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  #sent(core: number): number {
    return this.#lanes[core]?.sent ?? 0;
  }

  #hear(core: number, message: FromLane): void {
    switch (message.kind) {
      case "handover": {
        const { handover, behind } = message;
        for (const { entries } of handover.records.maps)
          this.records += entries.length;
        this.#lanes[handover.to]?.post({ kind: "handover", handover, behind });
        break;
      }
      case "settled":
        this.#dispatcher.settled(message.move);
        break;
      case "finished":
        this.#finished[core] = message;
        break;
      case "failed":
        this.#fail(message.error);
        break;
    }
    this.#wake();
  }

  #fail(error: unknown): void {
    this.#failure ??= error instanceof Error ? error : new Error(String(error));
    this.#wake();
  }
}

/** A worker, its ring and its letter box. */
class LaneThread {
  sent = 0;
  readonly #worker: Worker;
  readonly #words: Int32Array;
  readonly #ring: Int32Array;
  #tail = 0;

  constructor(start: RebalanceStart) {
    this.#words = new Int32Array(start.words);
    this.#ring = new Int32Array(start.ring);
    this.#worker = new Worker(
      new URL("./rebalance.worker.js", import.meta.url),
      { workerData: start },
    );
  }

  listen(
    hear: (message: FromLane) => void,
    fail: (error: unknown) => void,
  ): void {
    let isFinished = false;
    this.#worker.on("message", (message: FromLane) => {
      isFinished ||= message.kind === "finished";
      hear(message);
    });
    this.#worker.on("error", fail);
    this.#worker.on("exit", (code) => {
      if (!isFinished) fail(new Error(`the thread ended with code ${code}`));
    });
  }

  /** False when its ring is full. */
  offer(packet: number): boolean {
    if (this.sent - this.#tail >= ringSize) {
      this.#tail = Atomics.load(this.#words, laneWord.tail);
      if (this.sent - this.#tail >= ringSize) {
        this.ring();
        return false;
      }
    }
    this.#ring[this.sent & (ringSize - 1)] = packet;
    this.sent++;
    Atomics.store(this.#words, laneWord.head, this.sent);
    return true;
  }

  post(letter: ToLane): void {
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a worker, not a window
    this.#worker.postMessage(letter);
    Atomics.add(this.#words, laneWord.letters, 1);
    this.ring();
  }

  /** Wakes the worker, if it sleeps. */
  ring(): void {
    Atomics.add(this.#words, laneWord.bell, 1);
    Atomics.notify(this.#words, laneWord.bell);
  }

  async end(): Promise<void> {
    await this.#worker.terminate();
  }
}
