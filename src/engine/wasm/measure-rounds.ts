/**
 * Nanoseconds per packet of programs on the portable engine, on one core or several,
 * with private memory each or in one shared memory.
 *
 * Counted is the time inside the compiled program and its helpers, after warm-up and
 * in rounds in which the thread never waited for a CPU; copying packets into memory,
 * which a feeder does elsewhere, is not in it. Samples of several subjects are taken in
 * turn. What a hypervisor takes from a CPU cannot be seen. On a busy machine a round that
 * nobody interrupted may still find cold caches; real-time priority keeps others away.
 *
 * With private memory it does not matter whether cores are in the compiled program at
 * the same moment: they share nothing that would show. In shared memory it does: a
 * round counts only if every other core got on by half as much at least meanwhile, and
 * cores go on until the last has enough.
 */
import { Worker } from "node:worker_threads";
import { Bug } from "../../base/index.ts";
import type { MapEntry, PacketInput } from "../../interp/index.ts";
import type { ProgramSpec } from "../../isa/index.ts";
import { inTurn } from "../kernel/measure/measure-turn.ts";
import type { CoreStart } from "./core-messages.ts";
import type { PreparedProgram } from "./prepare.ts";
import { teamOf } from "./team.ts";

export interface RoundsStart {
  readonly program: ProgramSpec;
  readonly prepared: PreparedProgram;
  readonly options: CoreStart["options"];
  readonly packets: readonly PacketInput[];
  readonly core: number;
  readonly shared: boolean;
  /** See `roundsWord`. */
  readonly words: SharedArrayBuffer;
  readonly realTime: boolean;
}

/** Words that all cores see; batches of core c at `batches` + c · `stride`. */
export const roundsWord = {
  arrived: 0,
  finished: 1,
  ball: 2,
  batches: 32,
  stride: 32,
} as const;

export interface RoundsOrder {
  /** To be counted, about. */
  readonly packets: number;
  readonly cores: number;
  /** Number of this sample, from 1. */
  readonly turn: number;
  /** Milliseconds after which a sample has to do with what it has. */
  readonly longest: number;
}

export interface RoundsAnswer {
  readonly packets: number;
  readonly ns: number;
  /** Rounds in which the thread waited, or was alone in a memory of several. */
  readonly discarded: number;
  /** Of a cache line between cores 0 and 1, before the sample; 0: not known. */
  readonly roundTripNs: number;
}

export interface PortableSubjectOptions {
  /** By core; each at least one. */
  readonly packets: readonly (readonly PacketInput[])[];
  readonly contents?: Readonly<Record<string, readonly MapEntry[]>>;
  readonly seed?: number;
  /** Default: private. */
  readonly memory?: "private" | "shared";
  /** Take real-time priority for a sample, where that is allowed. Default: no. */
  readonly realTime?: boolean;
}

/** A program with a worker per core, ready to be measured again and again. */
export class PortableSubject {
  readonly #workers: readonly Worker[];
  readonly #realTime: boolean;
  #turn = 0;

  /** Throws UnsupportedError, naming helper and line, for what the engine lacks. */
  constructor(program: ProgramSpec, options: PortableSubjectOptions) {
    const { packets, contents = {}, seed = 1, memory = "private" } = options;
    const cores = packets.length;
    this.#realTime = options.realTime === true;
    const team = { program, cores, memory, contents, seed };
    const { members } = teamOf(team);
    const words = new SharedArrayBuffer(
      4 * (roundsWord.batches + cores * roundsWord.stride),
    );
    this.#workers = members.map(({ prepared, load }, core) => {
      const workerData: RoundsStart = {
        program,
        prepared,
        options: load,
        packets: packets[core] ?? [],
        core,
        shared: memory === "shared",
        words,
        realTime: this.#realTime,
      };
      const url = new URL("./rounds.worker.js", import.meta.url);
      return new Worker(url, { workerData });
    });
  }

  /** By core; undefined where a core found no undisturbed round in `longest` ms. */
  async sample(
    packets: number,
    longest = 2000,
  ): Promise<readonly RoundsAnswer[] | undefined> {
    const order: RoundsOrder = {
      packets,
      cores: this.#workers.length,
      turn: ++this.#turn,
      longest,
    };
    const all = () =>
      Promise.all(this.#workers.map((worker) => ask(worker, order)));
    const answers = await (this.#realTime ? inTurn(all) : all());
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
