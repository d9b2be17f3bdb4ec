/**
 * The worker's end of the ring that packet-feed.ts describes: takes what was
 * published, some at a time, and gives the slots back when their results are kept.
 *
 * A worker with nothing to do loads `head` 500 times, then sleeps on it, 2 ms at most:
 * spinning alone would starve the other threads where there are more of them than
 * CPUs. The feeder, should it sleep for room, is woken when half of the ring is free.
 */
import { sleepMs, spins, word } from "./core-words.ts";
import { mostPackets } from "./packet-area.ts";
import { slotWord } from "./ring-slots.ts";

/** Who wants to know when the thread sleeps. */
export interface Sleeper {
  readonly sleeps: () => void;
  readonly wakes: () => void;
}

export class PacketRing {
  readonly #words: Int32Array;
  readonly #slots: Int32Array;
  readonly #count: number;
  #tail = 0;

  constructor(
    control: SharedArrayBuffer,
    slots: SharedArrayBuffer,
    count: number,
  ) {
    this.#words = new Int32Array(control);
    this.#slots = new Int32Array(slots);
    this.#count = count;
  }

  /** Slot of the first packet that is not done. */
  get first(): number {
    return this.#tail & (this.#count - 1);
  }

  /** How many packets lie there in a row; waits for one, and is 0 when none will come. */
  take(sleeper: Sleeper): number {
    const words = this.#words;
    const ready = (): number =>
      (Atomics.load(words, word.head) - this.#tail) >>> 0;
    let count = ready();
    for (let turn = 0; count === 0 && turn < spins; turn++) count = ready();
    if (count === 0) count = this.#sleep(ready, sleeper);
    return Math.min(count, this.#count - this.first, mostPackets);
  }

  #sleep(ready: () => number, sleeper: Sleeper): number {
    const words = this.#words;
    sleeper.sleeps();
    let count = 0;
    while (count === 0) {
      // What was published before `closed` is seen behind it.
      if (Atomics.load(words, word.closed) === 1) {
        count = ready();
        break;
      }
      Atomics.store(words, word.coreWaits, 1);
      Atomics.wait(words, word.head, this.#tail, sleepMs);
      Atomics.store(words, word.coreWaits, 0);
      count = ready();
    }
    sleeper.wakes();
    return count;
  }

  /** The first `count` packets are done with. */
  release(count: number): void {
    const words = this.#words;
    this.#tail = (this.#tail + count) | 0;
    Atomics.store(words, word.tail, this.#tail);
    if (Atomics.load(words, word.feederWaits) === 0) return;
    const left = (Atomics.load(words, word.head) - this.#tail) >>> 0;
    if (left > this.#count / 2) return;
    Atomics.store(words, word.feederWaits, 0);
    Atomics.notify(words, word.tail);
  }

  numberOf(slot: number): number {
    return this.#slots[slotWord.size * slot + slotWord.number] ?? 0;
  }

  randomOf(slot: number): number | undefined {
    const at = slotWord.size * slot;
    return this.#slots[at + slotWord.hasRandom] === 0
      ? undefined
      : this.#slots[at + slotWord.random];
  }
}
