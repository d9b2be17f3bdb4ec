/**
 * Measuring several cores in one memory: they begin each batch together, so that the
 * time in which one takes packets in, which is not counted, is none in which the others
 * have the shared state to themselves; and they look at their clocks every so many
 * packets, so that one run has a warm-up that does not count and many samples.
 *
 * Words: 0 cores that take part, 1 cores that have arrived, 2 number of the meeting. The
 * last to arrive opens it. Who leaves is not waited for. A meeting that does not come
 * about in `patience` ms is missed: a core that died must not hold the others.
 */
import type { GuardCounts } from "./guard-counts.ts";

export const abreastBytes = 12;
const patience = 200;
const spins = 20_000;

/** What a core had done and spent when it looked. */
export interface Look {
  readonly packets: number;
  readonly ns: number;
  /** Milliseconds, on a clock that all threads have. */
  readonly at: number;
  readonly guard?: GuardCounts;
}

export class Abreast {
  readonly #words: Int32Array;

  constructor(words: SharedArrayBuffer) {
    this.#words = new Int32Array(words);
  }

  arrive(): void {
    const words = this.#words;
    const meeting = Atomics.load(words, 2);
    Atomics.add(words, 1, 1);
    this.#open();
    for (let turn = 0; Atomics.load(words, 2) === meeting; turn++) {
      if (turn < spins) continue;
      if (Atomics.wait(words, 2, meeting, patience) === "timed-out") return;
    }
  }

  leave(): void {
    Atomics.sub(this.#words, 0, 1);
    this.#open();
  }

  #open(): void {
    const words = this.#words;
    const here = Atomics.load(words, 1);
    if (here === 0 || here < Atomics.load(words, 0)) return;
    if (Atomics.compareExchange(words, 1, here, 0) !== here) return;
    Atomics.add(words, 2, 1);
    Atomics.notify(words, 2);
  }
}

/** Now, on the clock of a `Look`. */
export function wallMs(): number {
  return performance.timeOrigin + performance.now();
}
