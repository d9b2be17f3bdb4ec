/**
 * The measuring crew: one thread per CPU, and what they do together in one sample.
 *
 * In a sample k threads run their program over a table of packets at the same time,
 * on CPUs of their own, under real-time priority; further CPUs are parked, so that
 * nothing else runs beside one core. A sample that was disturbed says so and gives no
 * figure: somebody waited too long at the barrier, a signal interrupted a run (its
 * state has then changed, which the next sample does not mind), a thread lost its CPU,
 * or one was so slow that the others ran out of packets beside it.
 */
import { Worker } from "node:worker_threads";
import { Bug, InputError, UnsupportedError } from "../../../base/index.ts";
import { readGate } from "./loop-program.ts";
import {
  wordsFor,
  type Answer,
  type HandStart,
  type Order,
} from "./measure-messages.ts";
import type { Subject } from "./measure-subject.ts";
import { inTurn } from "./measure-turn.ts";

/** Round trips of a rally: 1 ms or less. */
const rallyTrips = 4000;
/** Calls for each counted one, so that nobody finishes before the others. */
const extraCalls = 2;
/** Part of the time that a thread may wait for its CPU. */
const mostLost = 0.03;
/** More CPUs than these are not parked: they belong to others. */
const mostParked = 3;
const EINTR = 4;

/** Why a sample gives no figure. */
export type Disturbance = "late" | "interrupted" | "preempted" | "uneven";

export interface CoreSample {
  readonly packets: number;
  /** From its own start to its own end. */
  readonly ns: number;
}

export interface Sample {
  readonly kind: "sample";
  readonly cores: readonly CoreSample[];
  /** Mean nanoseconds of a cache line to core 0 and back, before and after the run. */
  readonly roundTrips: readonly number[];
  readonly realTime: boolean;
}

export interface Disturbed {
  readonly kind: "disturbed";
  readonly by: Disturbance;
}

interface Hand {
  readonly worker: Worker;
  readonly cpu: number;
}

export class MeasureCrew {
  /** CPUs of the cores, by core. */
  readonly cpus: readonly number[];
  readonly #hands: readonly Hand[];
  readonly #words: Int32Array<SharedArrayBuffer>;

  private constructor(cpus: readonly number[], hands: readonly number[]) {
    this.cpus = cpus;
    this.#words = new Int32Array(
      new SharedArrayBuffer(4 * wordsFor(hands.length)),
    );
    this.#hands = hands.map((cpu) => {
      const workerData: HandStart = { cpu, words: this.#words.buffer };
      const url = new URL("./measure.worker.js", import.meta.url);
      return { cpu, worker: new Worker(url, { workerData }) };
    });
  }

  /** For up to `cores` at once; throws an UnsupportedError on a smaller machine. */
  static open(cpus: readonly number[], cores: number): MeasureCrew {
    if (cores > cpus.length)
      throw new UnsupportedError(
        `${cores} cores cannot be measured on ${cpus.length} CPUs: they would take turns`,
        { feature: `${cores} CPUs`, fix: `--cores ${cpus.length} at most` },
      );
    const hands = cpus.slice(0, Math.max(cores, 1 + mostParked));
    return new MeasureCrew(cpus.slice(0, cores), hands);
  }

  /** One run of `packets` packets (about) on each core. */
  sample(
    subject: Subject,
    packets: readonly number[],
  ): Promise<Sample | Disturbed> {
    return inTurn(() => this.#sample(subject, packets));
  }

  async #sample(
    subject: Subject,
    packets: readonly number[],
  ): Promise<Sample | Disturbed> {
    const cores = subject.programs.length;
    if (cores > this.cpus.length)
      throw new Bug(`${cores} cores in a crew of ${this.cpus.length}`);
    this.#words.fill(0);
    subject.resetGate();
    const calls = packets.map((count) =>
      Math.max(2, Math.round(count / subject.packetsPerCall)),
    );
    const hands = Math.min(this.#hands.length, Math.max(cores, 1 + mostParked));
    const orders = Array.from({ length: hands }, (_, index): Order => {
      const program = subject.programs[index];
      const counted = calls[index] ?? 2;
      if (program === undefined) return { kind: "park", hands, cores };
      return {
        kind: "run",
        core: index,
        cores,
        hands,
        fd: program.fd,
        frame: subject.frame({ core: index, waitFor: cores, calls: counted }),
        repeat: cores > 1 ? extraCalls * counted : counted,
        rally: cores > 1 ? rallyTrips : 0,
      };
    });
    const answers = await Promise.all(
      orders.map((order, index) => this.#ask(index, order)),
    );
    return judgeSample(subject, answers, calls);
  }

  async close(): Promise<void> {
    await Promise.all(this.#hands.map(({ worker }) => worker.terminate()));
  }

  #ask(index: number, order: Order): Promise<Answer> {
    const hand = this.#hands[index];
    if (hand === undefined) throw new Bug(`no hand ${index}`);
    const { worker } = hand;
    return new Promise((resolve, reject) => {
      const exit = (code: number): void => {
        reject(
          new Bug(`the measuring thread of CPU ${hand.cpu} ended (${code})`),
        );
      };
      worker.once("exit", exit);
      worker.once("error", reject);
      worker.once("message", (answer: Answer) => {
        worker.off("exit", exit);
        worker.off("error", reject);
        resolve(answer);
      });
      // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a worker, not a window
      worker.postMessage(order);
    });
  }
}

/** What a sample's answers are worth: `calls` are those that count, by core. */
export function judgeSample(
  subject: Pick<Subject, "name" | "gate" | "packetsPerCall">,
  answers: readonly Answer[],
  calls: readonly number[],
): Sample | Disturbed {
  const failed = answers.find((answer) => answer.kind === "failed");
  if (failed?.kind === "failed")
    throw failed.error instanceof Error
      ? failed.error
      : new Bug(String(failed.error));
  if (answers.some(({ kind }) => kind === "alone"))
    return { kind: "disturbed", by: "late" };
  const ran = answers.flatMap((each) => (each.kind === "ran" ? [each] : []));
  const refused = ran.find(({ errno }) => errno !== 0 && errno !== EINTR);
  if (refused !== undefined)
    throw new InputError(
      `${subject.name}: a test run failed with errno ${refused.errno}`,
      { code: "test-run" },
    );
  if (ran.some(({ errno }) => errno === EINTR))
    return { kind: "disturbed", by: "interrupted" };
  const common = {
    kind: "sample",
    roundTrips: ran.flatMap(({ roundTrips }) => roundTrips),
    realTime: ran.every(({ realTime }) => realTime),
  } as const;
  if (subject.gate === undefined)
    return {
      ...common,
      cores: ran.map(({ durationNs }, core) => ({
        packets: calls[core] ?? 0,
        ns: durationNs * (calls[core] ?? 0),
      })),
    };
  const gate = readGate(subject.gate(), ran.length);
  if (gate.late || gate.cores.some(({ end }) => end === 0n))
    return { kind: "disturbed", by: "late" };
  const spent = gate.cores.map(({ start, end }) => Number(end - start));
  const least = Math.min(...spent);
  if (ran.some(({ lostNs }) => lostNs > mostLost * least))
    return { kind: "disturbed", by: "preempted" };
  if (Math.max(...spent) > (extraCalls - 0.1) * least)
    return { kind: "disturbed", by: "uneven" };
  return {
    ...common,
    cores: spent.map((ns, core) => ({
      packets: (calls[core] ?? 0) * subject.packetsPerCall,
      ns,
    })),
  };
}
