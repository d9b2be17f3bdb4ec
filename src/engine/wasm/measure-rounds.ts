/**
 * Nanoseconds per packet of programs on the portable engine, on one core or several
 * with private memory each.
 *
 * Counted is the time inside the compiled program and its helpers, after warm-up and
 * in rounds in which the thread never waited for a CPU; copying packets into memory,
 * which a feeder does elsewhere, is not in it. Samples of several subjects are taken in
 * turn. What a hypervisor takes from a CPU cannot be seen.
 *
 * Not promised: that two cores are in the compiled program at the same moment. With
 * private memory they share nothing that would show.
 */
import { Worker } from "node:worker_threads";
import { Bug } from "../../base/index.ts";
import type { MapEntry, PacketInput } from "../../interp/index.ts";
import type { ProgramSpec } from "../../isa/index.ts";
import type { LoadOptions } from "./prepare.ts";
import { loadPortable } from "./program.ts";

export interface RoundsStart {
  readonly program: ProgramSpec;
  readonly options: LoadOptions;
  readonly packets: readonly PacketInput[];
  readonly words: SharedArrayBuffer;
}

export interface RoundsOrder {
  /** To be counted, about. */
  readonly packets: number;
  readonly cores: number;
  /** Number of this sample, from 1. */
  readonly turn: number;
}

export interface RoundsAnswer {
  readonly packets: number;
  readonly ns: number;
  /** Rounds in which the thread waited. */
  readonly discarded: number;
}

export interface PortableSubjectOptions {
  /** By core; each at least one. */
  readonly packets: readonly (readonly PacketInput[])[];
  readonly contents?: Readonly<Record<string, readonly MapEntry[]>>;
  readonly seed?: number;
}

/** A program with a worker per core, ready to be measured again and again. */
export class PortableSubject {
  readonly #workers: readonly Worker[];
  #turn = 0;

  /** Throws UnsupportedError, naming helper and line, for what the engine lacks. */
  constructor(program: ProgramSpec, options: PortableSubjectOptions) {
    const { packets, contents = {}, seed = 1 } = options;
    const load: LoadOptions = { cpus: packets.length, contents, seed };
    loadPortable(program, load);
    const words = new SharedArrayBuffer(4);
    this.#workers = packets.map((list) => {
      const workerData: RoundsStart = {
        program,
        options: load,
        packets: list,
        words,
      };
      const url = new URL("./rounds.worker.js", import.meta.url);
      return new Worker(url, { workerData });
    });
  }

  /** By core; undefined where a core found no undisturbed round. */
  async sample(packets: number): Promise<readonly RoundsAnswer[] | undefined> {
    const order: RoundsOrder = {
      packets,
      cores: this.#workers.length,
      turn: ++this.#turn,
    };
    const answers = await Promise.all(
      this.#workers.map((worker) => ask(worker, order)),
    );
    return answers.every((answer) => answer.packets > 0) ? answers : undefined;
  }

  async close(): Promise<void> {
    await Promise.all(this.#workers.map((worker) => worker.terminate()));
  }
}

function ask(worker: Worker, order: RoundsOrder): Promise<RoundsAnswer> {
  return new Promise((resolve, reject) => {
    const exit = (code: number): void => {
      reject(new Bug(`a measuring worker ended (${code})`));
    };
    worker.once("exit", exit);
    worker.once("error", reject);
    worker.once("message", (answer: RoundsAnswer) => {
      worker.off("exit", exit);
      worker.off("error", reject);
      resolve(answer);
    });
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a worker, not a window
    worker.postMessage(order);
  });
}
